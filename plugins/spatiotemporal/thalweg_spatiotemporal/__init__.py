"""Networks that learn the next frames from the last: UNet, ConvLSTM, PredRNN, PhyDNet, E3D-LSTM, Rainformer."""

from __future__ import annotations

from thalweg import Loss, Method, Register, hookimpl


@hookimpl
def register_losses(register: Register[Loss]) -> None:
    from .squared_and_absolute import SquaredAndAbsolute

    register("squared-and-absolute", SquaredAndAbsolute)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .convlstm import ConvLSTM
    from .e3dlstm import E3DLSTM
    from .phydnet import PhyDNet
    from .predrnn import PredRNN
    from .rainformer import Rainformer
    from .unet import UNet

    register("convlstm", ConvLSTM)
    register("e3d-lstm", E3DLSTM)
    register("phydnet", PhyDNet)
    register("predrnn", PredRNN)
    register("rainformer", Rainformer)
    register("unet", UNet)
