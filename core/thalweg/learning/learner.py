"""`TorchLearner`: an author writes a network; `TorchSolver`: what its learning returns."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from ..components import Demand, Fitted, OperatorEnforcer, Steered, Training
from ..components.held import Held
from ..components.method import planned
from ..components.signature import Signature, shake
from ..recipes.handshakes import at, scored
from .contract import LearnedNetwork, NetworkLearner

if TYPE_CHECKING:
    import xarray as xr

    from ..components.steering import Steering


class TorchLearner(NetworkLearner):
    """A learner whose estimate is the output of a network: define `build`; see `NetworkLearner` for the rest."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        own = cls.__dict__.get("fitted")
        if own is not None and issubclass(own, TorchSolver):
            own.learns = cls
        elif own is None:
            # Named so that pickle finds it: as the attribute of its learner.
            base = SteeredSolver if cls.steered else TorchSolver
            names = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.fitted", "learns": cls}
            names |= {"__doc__": f"What {cls.__name__} learned."}
            names |= {"__annotations__": {"learns": "ClassVar[type[TorchLearner]]"}}
            cls.fitted = types.new_class("fitted", (base,), exec_body=lambda space: space.update(names))

    def demand(self, given: Signature, wanted: Signature, options: Mapping[str, Any]) -> Demand:
        """As many workers as ranks, and what each needs as far as can be known before; loads torch."""
        chosen = self.check_options(options)
        from .planning import demanded

        learner, before = planned(self, given, wanted, options)
        assert isinstance(learner, NetworkLearner)
        judge = chosen.judge
        if judge is not None:
            gives = learner.gives(given, wanted)
            at("train.judge", shake, gives, scored(judge, wanted), giver=self.name, taker=judge.name)
            at("train.judge", judge.check, gives)
        memory = demanded(learner, given, wanted, chosen)
        return Demand(max(chosen.ranks, before.workers), max(memory, before.memory))

    def check_wrap(
        self,
        enforcer: OperatorEnforcer,
        held: Held,
        *,
        given: Signature,
        wanted: Signature,
        options: Mapping[str, Any],
    ) -> None:
        """Tries it on the network's outline; loads torch."""
        from .planning import wrapped

        learner, _ = planned(self, given, wanted, options)
        assert isinstance(learner, NetworkLearner)
        wrapped(learner, enforcer, held, given=given, wanted=wanted)

    @final
    def fit(self, training: Training) -> Fitted:
        from .fitting import fit

        return fit(self, training)


class TorchSolver(LearnedNetwork):
    """A learned network; rebuilt, in any process, from its learner's options and the weights in `state`."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        """The network's estimate. Raises `HandshakeError` for inputs that it was not built for."""
        from .solving import solve

        return solve(self.network, inputs, wanted)


class SteeredSolver(Steered, TorchSolver):
    """A learned network that draws its estimate step by step; laws are held on the way."""

    def sample(self, inputs: xr.Dataset, wanted: Signature, steering: Steering | None) -> xr.Dataset:
        """What the network draws. Raises `HandshakeError` for inputs that it was not built for."""
        from .solving import solve

        return solve(self.network, inputs, wanted, steering)
