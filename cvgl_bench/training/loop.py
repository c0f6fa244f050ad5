"""The training: epochs of batches, a look at the validation pairs, the state after each epoch."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cvgl_bench.datasets import Pair
from cvgl_bench.errors import DataError, ModelError
from cvgl_bench.models.checkpoint import load_strictly
from cvgl_bench.models.reference import Encoders, network_class
from cvgl_bench.seeding import generator, identity_seed
from cvgl_bench.training.looking import Pictures, embedded_by_all, recall
from cvgl_bench.training.objectives import Objective, gathered, make_views
from cvgl_bench.training.pictures import Batches, PairPictures, in_memory, needed_bytes
from cvgl_bench.training.recipes import Recipe
from cvgl_bench.training.run import STATE, Run, State
from cvgl_bench.training.sampling import epoch_batches, near_in_embedding, near_on_map

Row = dict[str, Any]
_KEPT = "What earlier epochs made is kept; try a lower --learning-rate in another folder."


@dataclass(frozen=True)
class Job:
    """What to train, on what, where.

    Attributes:
        run: the folder and the recipe.
        training: pairs to learn from.
        validation: pairs to choose the weights by.
        on_cpu: use no GPU even where there is one.
        workers: processes that decode pictures.
        memory_bytes: what each process may take for pictures that are decoded once and kept.
    """

    run: Run
    training: Sequence[Pair]
    validation: Sequence[Pair]
    on_cpu: bool = False
    workers: int = 2
    memory_bytes: int = 4 << 30


@dataclass
class _Training:
    """All that an epoch needs."""

    job: Job
    accelerator: Accelerator
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    encoders: Encoders
    pictures: Pictures
    held_out: Pictures
    batches: Batches
    state: State

    @property
    def recipe(self) -> Recipe:
        return self.job.run.recipe

    @property
    def autocast(self) -> torch.autocast:
        kind, is_half = self.accelerator.device.type, self.recipe.precision == "bf16"
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=is_half)


def train(job: Job, report: Callable[[Row], None] = lambda _: None) -> State:
    """Train, or go on with a training that was interrupted.

    After every epoch the state is on disk. What chance there is in an epoch follows from the
    recipe's seed and the epoch's number, so that a training that was killed and goes on ends with
    the weights of one that was not: to the bit on the same processor with as many threads, up to
    rounding on GPUs.

    Args:
        job: what to train.
        report: told each epoch's row of the curve, on the first process.

    Raises:
        CvglBenchError: a picture is broken, the folder holds another training, the batch does not
            go into equal parts, or the loss is no number any more.
    """
    # Precision and wrapping are this module's own: what a user's accelerate configuration says of
    # them would train something else than the recipe.
    on_cpu = job.on_cpu or not torch.cuda.is_available()
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no")
    _check(job, accelerator)
    training = _begin(job, accelerator)
    state = training.state
    while state.epoch < training.recipe.epochs:
        row = _epoch(training)
        if accelerator.is_main_process:
            _keep(training, row["validation_r1"])
            report(row)
        accelerator.wait_for_everyone()
    return state


def _keep(training: _Training, found: float | None) -> None:
    """Write the state; a later epoch that is as good as the best takes its place."""
    state = training.state
    is_best = found is not None and found >= state.best
    if found is not None and is_best:
        state.best = found
    network = training.encoders.network.state_dict()
    state.network = {key: value.detach().cpu().clone() for key, value in network.items()}
    state.optimizer = training.optimizer.state_dict()
    if not all(bool(value.isfinite().all()) for value in state.network.values()):
        raise ModelError(f"the weights became infinite in epoch {state.epoch}. {_KEPT}")
    training.job.run.save(state, is_best=is_best)


def _check(job: Job, accelerator: Accelerator) -> None:
    recipe, processes = job.run.recipe, accelerator.num_processes
    size = recipe.batch_size
    if size % processes:
        raise DataError(f"a batch of {size} pairs has no {processes} equal parts.")
    if len(job.training) < size:
        raise DataError(f"{len(job.training)} pairs to train on do not fill a batch of {size}.")
    if not job.validation:
        raise DataError("there is no pair to choose the weights by.")
    if recipe.sampling is not None and recipe.sampling.start == "map":
        _positions(job.training)
    has_gpu = accelerator.device.type == "cuda"
    if recipe.precision == "bf16" and has_gpu and not torch.cuda.is_bf16_supported(False):
        raise ModelError(
            f"{torch.cuda.get_device_name()} does not compute in bfloat16: use --precision fp32."
        )


def _begin(job: Job, accelerator: Accelerator) -> _Training:
    recipe = job.run.recipe
    torch.manual_seed(recipe.seed)
    with accelerator.main_process_first():
        state = job.run.open()
    network = network_class(recipe.method)(
        recipe.config, pretrained=recipe.pretrained and not state.network
    )
    if state.network:
        load_strictly(network, state.network, job.run.folder / STATE, "this version's network")
    if recipe.loss == "triplet":
        # It has no temperature, and what gets no gradient would halt training on several GPUs.
        network.logit_scale.requires_grad_(False)
    objective = Objective(network.to(accelerator.device), recipe, gathered)
    trained = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    if state.optimizer:
        optimizer.load_state_dict(dict(state.optimizer))
    pictures, held_out = _pictures(job)
    return _Training(
        job,
        accelerator,
        _shared_out(objective, accelerator),
        optimizer,
        Encoders(network, recipe.config),
        pictures,
        held_out,
        Batches(pictures, workers=job.workers),
        state,
    )


def _shared_out(objective: Objective, accelerator: Accelerator) -> nn.Module:
    if accelerator.num_processes == 1:
        return objective
    devices = [accelerator.device] if accelerator.device.type == "cuda" else None
    # Every step is alike, so what a backbone leaves unused is found out once.
    return DistributedDataParallel(
        objective, device_ids=devices, broadcast_buffers=False, static_graph=True
    )


def _pictures(job: Job) -> tuple[Pictures, Pictures]:
    """Training's and validation's pictures, kept decoded as far as the memory goes."""
    training, validation = (
        PairPictures(pairs, job.run.recipe.config) for pairs in (job.training, job.validation)
    )
    left = job.memory_bytes
    is_kept = needed_bytes(training) <= left
    if is_kept:
        left -= needed_bytes(training)
    return (
        in_memory(training) if is_kept else training,
        in_memory(validation) if needed_bytes(validation) <= left else validation,
    )


def _epoch(training: _Training) -> Row:
    """Train for one epoch; changes the state's epoch and rows and returns the new row."""
    recipe, state, start = training.recipe, training.state, time.monotonic()
    share = (state.epoch + 1) / recipe.epochs
    plan = _planned(training, share)
    size = recipe.batch_size // training.accelerator.num_processes
    own = plan[:, training.accelerator.process_index * size :][:, :size]
    training.objective.train()
    torch.manual_seed(_seed(recipe, state.epoch, training.accelerator.process_index))
    losses: list[float] = []
    for number, pictures in enumerate(training.batches.of(own)):
        done = (state.epoch + (number + 1) / len(plan)) / recipe.epochs
        for group in training.optimizer.param_groups:
            group["lr"] = recipe.rate_at(done)
        losses.append(_step(training, pictures, share, number))
    state.epoch += 1
    row: Row = {
        "epoch": state.epoch,
        "loss": float(np.mean(losses)),
        "learning_rate": training.optimizer.param_groups[0]["lr"],
        "seconds": time.monotonic() - start,
        "validation_r1": _validated(training),
    }
    state.rows.append(row)
    return row


def _seed(recipe: Recipe, epoch: int, process: int) -> int:
    return identity_seed("training", recipe.seed, epoch, process) % 2**63


def _step(training: _Training, pictures: tuple[Tensor, Tensor], share: float, number: int) -> float:
    recipe, accelerator = training.recipe, training.accelerator
    ground, aerial = (images.to(accelerator.device, non_blocking=True) for images in pictures)
    identity, first = (training.state.epoch, number), accelerator.process_index * len(ground)
    views = make_views(recipe, (ground, aerial), share, identity, first=first)
    try:
        with training.autocast:
            loss = training.objective(views)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU's memory does not hold {len(views.ground)} pairs at once: take a smaller "
            "--batch-size or more processes."
        ) from error
    nn.utils.clip_grad_value_(training.objective.parameters(), recipe.clip_value)
    training.optimizer.step()
    # Asked for only now, so that a GPU need not be waited for before the backward pass.
    value = float(loss.detach())
    if not math.isfinite(value):
        step = f"epoch {training.state.epoch + 1}, step {number + 1}"
        raise ModelError(f"the loss became {value} in {step}. {_KEPT}")
    return value


def _planned(training: _Training, share: float) -> NDArray[np.int64]:
    """Which places form which batch of the next epoch, (batches, batch size)."""
    recipe, state = training.recipe, training.state
    rng = generator(identity_seed("training", recipe.seed, "batches", state.epoch))
    sampling, count = recipe.sampling, len(training.job.training)
    if sampling is None:
        return epoch_batches(count, recipe.batch_size, rng)
    if state.epoch and state.epoch % sampling.refresh_epochs == 0:
        fov = recipe.curriculum.at(share).fov_degrees if recipe.curriculum else None
        with training.autocast:
            rows = embedded_by_all(
                training.accelerator,
                training.encoders,
                training.pictures,
                training.job.training,
                view=(fov, state.epoch),
            )
        state.neighbours = torch.from_numpy(near_in_embedding(*rows, sampling.among))
    elif state.neighbours is None and sampling.start == "map":
        positions = _positions(training.job.training)
        state.neighbours = torch.from_numpy(near_on_map(positions, sampling.among))
    return epoch_batches(
        count,
        recipe.batch_size,
        rng,
        neighbours=None if state.neighbours is None else state.neighbours.numpy(),
        nearest=sampling.nearest,
        drawn=sampling.drawn,
    )


def _positions(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    places = [pair.aerial_position or pair.ground_position for pair in pairs]
    known = [(place.latitude, place.longitude) for place in places if place is not None]
    if len(known) < len(places):
        raise DataError(
            f"the data set gives no position of {len(places) - len(known)} of {len(places)} "
            "places, and the recipe starts with neighbours on the map: use --no-map."
        )
    return np.array(known)


def _validated(training: _Training) -> float | None:
    recipe, epoch = training.recipe, training.state.epoch
    is_due = epoch % recipe.validate_every == 0 or epoch == recipe.epochs
    if not is_due or not training.accelerator.is_main_process:
        return None
    with training.autocast:
        return recall(
            training.encoders,
            training.held_out,
            training.job.validation,
            fov_degrees=recipe.validation_fov,
            device="cuda" if training.accelerator.device.type == "cuda" else "cpu",
        )
