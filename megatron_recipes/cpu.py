"""What Megatron-Core 0.19 needs on a machine without CUDA. Where CUDA is, this does nothing.

Megatron-Core asks for CUDA by name in places that no setting reaches. `install` answers those
calls from the CPU; it must run before the first import of `megatron.core`. No file of
Megatron-Core is changed. A run fails without: `current_device`, `current_stream`, the factories
`zeros`, `ones` and `tensor`, `Tensor.type`, the random states, and `FusedAdamLayout` to load a
distributed optimizer's checkpoint. The rest is met in timers and data loading.
"""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

CPU = torch.device("cpu")
TRANSFORMER_ENGINE = "transformer_engine"
FACTORIES = (
    "tensor",
    "zeros",
    "ones",
    "empty",
    "full",
    "arange",
    "rand",
    "randn",
    "randint",
    "empty_like",
    "zeros_like",
    "ones_like",
)


def install() -> None:
    """Answer Megatron-Core's CUDA calls from the CPU. Repeated calls have no effect."""
    if torch.cuda.is_available() or torch.compile.__name__ == compile_nothing.__name__:
        return
    _hide_transformer_engine()
    _leave_functions_uncompiled()
    _redirect_device_queries()
    _redirect_factories()
    _rename_tensor_types()
    _redirect_random_states()
    _use_fused_adam_layout()


def _replace(owner: Any, name: str, value: object) -> None:
    setattr(owner, name, value)


def compile_nothing(model: Any = None, **_options: Any) -> Any:
    """Stand for `torch.compile`, as function and as decorator, and return what it is given."""
    return (lambda function: function) if model is None else model


def _hide_transformer_engine() -> None:
    # Installed where no GPU is seen, it would give Megatron-Core an optimizer and norms of
    # gradients that take CUDA's tensors alone. None in this place is what cannot be imported.
    if importlib.util.find_spec(TRANSFORMER_ENGINE) is not None:
        sys.modules[TRANSFORMER_ENGINE] = None  # type: ignore[assignment]


def _leave_functions_uncompiled() -> None:
    # Megatron-Core decorates its fusions, unused here, with torch.compile; that alone imports the
    # compiler, which is a quarter of the time a process takes to start.
    _replace(torch, "compile", compile_nothing)


def _current_device() -> torch.device:
    return CPU


class _NoStream:
    """A stream on which every method (`wait_stream`, `synchronize`, ...) does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


def _redirect_device_queries() -> None:
    # Rotary embedding, gradient buffers, p2p and the vocabulary-parallel layers place tensors on
    # current_device(); gradient sync asks for the current stream. One function object per name:
    # torch.compile refuses one that is shared by names it treats apart.
    _replace(torch.cuda, "current_device", _current_device)
    _replace(torch.cuda, "current_stream", lambda device=None: _NoStream())  # noqa: ARG005
    for name in ("synchronize", "empty_cache", "set_device", "reset_peak_memory_stats"):
        _replace(torch.cuda, name, lambda *_args, **_kwargs: None)


def _redirect_factories() -> None:
    # The schedules, the optimizer and gradient clipping write device="cuda" literally.
    def redirected(factory: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @functools.wraps(factory)
        def on_cpu(*args: Any, **kwargs: Any) -> torch.Tensor:
            device = kwargs.get("device")
            if device is not None and str(device).startswith("cuda"):
                kwargs["device"] = CPU
            if kwargs.get("pin_memory"):
                kwargs["pin_memory"] = False
            return factory(*args, **kwargs)

        return on_cpu

    for name in FACTORIES:
        _replace(torch, name, redirected(getattr(torch, name)))
    _replace(torch.Tensor, "cuda", lambda self, *_args, **_kwargs: self)


def _rename_tensor_types() -> None:
    # The optimizers compare `param.type()` with "torch.cuda.FloatTensor" and its siblings.
    original = torch.Tensor.type

    def renamed(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        answer: Any = original(self, *args, **kwargs)
        return answer.replace("torch.", "torch.cuda.", 1) if isinstance(answer, str) else answer

    _replace(torch.Tensor, "type", renamed)


def _redirect_random_states() -> None:
    # Tensor-parallel dropout draws from named states of the CUDA generator; here they are states
    # of the CPU generator, so that ranks still differ where they must.
    _replace(torch.cuda, "manual_seed", lambda seed: torch.manual_seed(seed))
    _replace(torch.cuda, "get_rng_state", lambda device=None: torch.get_rng_state())  # noqa: ARG005
    _replace(
        torch.cuda,
        "set_rng_state",
        lambda state, device=None: torch.set_rng_state(state),  # noqa: ARG005
    )
    import megatron.core.tensor_parallel.random as megatron_random

    _replace(
        megatron_random, "_get_cuda_rng_state", lambda *_args, **_kwargs: torch.get_rng_state()
    )
    _replace(
        megatron_random,
        "_set_cuda_rng_state",
        lambda state, *_args, **_kwargs: torch.set_rng_state(state),
    )
    default_name = megatron_random._MODEL_PARALLEL_RNG_TRACKER_NAME

    @contextlib.contextmanager
    def fork(self: Any, name: str = default_name) -> Iterator[None]:
        outer, outer_name = torch.get_rng_state(), self._current_state_name
        if outer_name != "default-rng":
            self.states_[outer_name] = outer
        torch.set_rng_state(self.states_[name])
        self._current_state_name = name
        try:
            yield
        finally:
            self.states_[name] = torch.get_rng_state()
            torch.set_rng_state(self.states_.get(outer_name, outer))
            self._current_state_name = outer_name

    _replace(megatron_random.CudaRNGStatesTracker, "fork", fork)


class FusedAdamLayout(torch.optim.Optimizer):
    """AdamW with the state layout of Transformer Engine's FusedAdam.

    `step` is kept in the parameter group; a parameter's state is `exp_avg` and `exp_avg_sq`
    alone. The distributed optimizer's checkpoint code assumes this layout.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        bias_correction: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        adam_w_mode: bool = True,
        weight_decay: float = 0.0,
        **_ignored: Any,
    ) -> None:
        defaults = {
            "lr": lr,
            "bias_correction": bias_correction,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)
        self.adam_w_mode = adam_w_mode

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update every parameter that has a gradient."""
        for group in (group for group in self.param_groups if group["params"]):
            group["step"] = int(group.get("step", 0)) + 1
            for param in (param for param in group["params"] if param.grad is not None):
                self._update(param, param.grad, group)

    def _update(self, param: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        correction1 = correction2 = 1.0
        if group["bias_correction"]:
            correction1 = 1 - beta1 ** group["step"]
            correction2 = 1 - beta2 ** group["step"]
        state = self.state[param]
        if not state:
            state["exp_avg"] = torch.zeros_like(param)
            state["exp_avg_sq"] = torch.zeros_like(param)
        if self.adam_w_mode:
            param.mul_(1 - group["lr"] * group["weight_decay"])
        else:
            gradient = gradient.add(param, alpha=group["weight_decay"])
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = (state["exp_avg_sq"].sqrt() / correction2**0.5).add_(group["eps"])
        param.addcdiv_(state["exp_avg"], scale, value=-group["lr"] / correction1)


def _use_fused_adam_layout() -> None:
    # Without Transformer Engine and Apex Megatron-Core falls back to PyTorch's AdamW, whose state
    # its distributed optimizer can save but not load.
    import megatron.core.optimizer as megatron_optimizer
    import megatron.core.optimizer.distrib_optimizer as distributed_optimizer

    if megatron_optimizer.USING_PYTORCH_OPTIMIZER:
        _replace(megatron_optimizer, "Adam", FusedAdamLayout)
        _replace(distributed_optimizer, "Adam", FusedAdamLayout)
        _replace(megatron_optimizer, "USING_PYTORCH_OPTIMIZER", False)
        _replace(distributed_optimizer, "HAVE_APEX_OR_TE", True)
        _replace(distributed_optimizer, "USING_TE_OPTIMIZER", True)
