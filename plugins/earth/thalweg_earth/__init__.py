"""Earth-system datasets, transforms, baselines and scores."""

from __future__ import annotations

from thalweg import Dataset, Law, Method, Metric, Register, Transform, WholeMetric, hookimpl


@hookimpl
def register_datasets(register: Register[Dataset]) -> None:
    from .datasets.array import Array
    from .datasets.ersst import ERSST
    from .datasets.icar_enso import ICARENSO
    from .datasets.joined import Joined
    from .datasets.kaplan import Kaplan
    from .datasets.moving_mnist import MovingMNIST
    from .datasets.nbody_mnist import NBodyMNIST
    from .datasets.oisst import OISST
    from .datasets.ostia_sample import OSTIASample
    from .datasets.radar import Radar
    from .datasets.sevir import SEVIR
    from .datasets.sevir_lr import SEVIRLR
    from .datasets.taasrad19 import TAASRAD19

    register("array", Array)
    register("ersst", ERSST)
    register("icar-enso", ICARENSO)
    register("joined", Joined)
    register("kaplan", Kaplan)
    register("moving-mnist", MovingMNIST)
    register("nbody-mnist", NBodyMNIST)
    register("oisst", OISST)
    register("ostia-sample", OSTIASample)
    register("radar", Radar)
    register("sevir", SEVIR)
    register("sevir-lr", SEVIRLR)
    register("taasrad19", TAASRAD19)


@hookimpl
def register_transforms(register: Register[Transform]) -> None:
    from .transforms.anomaly import Anomaly
    from .transforms.coarsen import Coarsen
    from .transforms.excess import Excess
    from .transforms.rain_rate import RainRate
    from .transforms.rescale import Rescale
    from .transforms.season import Season
    from .transforms.select import Select
    from .transforms.split import Split
    from .transforms.windows import Windows

    register("anomaly", Anomaly)
    register("coarsen", Coarsen)
    register("excess", Excess)
    register("rain-rate", RainRate)
    register("rescale", Rescale)
    register("season", Season)
    register("select", Select)
    register("split", Split)
    register("windows", Windows)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .methods.advection import Advection
    from .methods.damped_persistence import DampedPersistence
    from .methods.from_last import FromLast
    from .methods.interpolate import Interpolate
    from .methods.linear_inverse_model import LinearInverseModel
    from .methods.moving import Moving
    from .methods.persistence import Persistence
    from .methods.perturbed_advection import PerturbedAdvection
    from .methods.reduced_rank import ReducedRank
    from .methods.seasonal_ridge import SeasonalRidge

    register("advection", Advection)
    register("damped-persistence", DampedPersistence)
    register("from-last", FromLast)
    register("interpolate", Interpolate)
    register("linear-inverse-model", LinearInverseModel)
    register("moving", Moving)
    register("persistence", Persistence)
    register("perturbed-advection", PerturbedAdvection)
    register("reduced-rank", ReducedRank)
    register("seasonal-ridge", SeasonalRidge)


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .laws.advection_budget import AdvectionBudget
    from .laws.energy import Energy
    from .laws.mean_intensity import MeanIntensity
    from .laws.total_rain import TotalRain

    register("advection-budget", AdvectionBudget)
    register("energy", Energy)
    register("mean-intensity", MeanIntensity)
    register("total-rain", TotalRain)


@hookimpl
def register_metrics(register: Register[Metric | WholeMetric]) -> None:
    from .metrics.anomaly_correlation import AnomalyCorrelation
    from .metrics.crps import CRPS
    from .metrics.csi import CSI
    from .metrics.energy_score import EnergyScore
    from .metrics.frame_mae import FrameMAE
    from .metrics.frame_mse import FrameMSE
    from .metrics.frequency_bias import FrequencyBias
    from .metrics.fss import FSS
    from .metrics.mae import MAE
    from .metrics.mse import MSE
    from .metrics.nino34_skill import Nino34Skill
    from .metrics.pod import POD
    from .metrics.rank_histogram import RankHistogram
    from .metrics.reliability import Reliability
    from .metrics.rmse import RMSE
    from .metrics.spectrum import Spectrum
    from .metrics.spread_skill import SpreadSkill
    from .metrics.ssim import SSIM
    from .metrics.success_ratio import SuccessRatio

    register("anomaly-correlation", AnomalyCorrelation)
    register("crps", CRPS)
    register("csi", CSI)
    register("energy-score", EnergyScore)
    register("frame-mae", FrameMAE)
    register("frame-mse", FrameMSE)
    register("frequency-bias", FrequencyBias)
    register("fss", FSS)
    register("mae", MAE)
    register("mse", MSE)
    register("nino34-skill", Nino34Skill)
    register("pod", POD)
    register("rank-histogram", RankHistogram)
    register("reliability", Reliability)
    register("rmse", RMSE)
    register("spectrum", Spectrum)
    register("spread-skill", SpreadSkill)
    register("ssim", SSIM)
    register("success-ratio", SuccessRatio)
