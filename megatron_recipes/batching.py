"""Which sequences a process reads, as a function of the samples consumed so far.

Nothing here has a state: the order of the data follows from the seed (through the dataset's
index) and the number of consumed samples, for any number of replicas.
"""

from collections.abc import Iterator


def document_multiple(context_parallel_size: int) -> int:
    """Return what the rooms of packed documents are multiples of.

    Of every document each process holds two pieces, an early one and a late one.
    """
    return 2 * context_parallel_size if context_parallel_size > 1 else 1


def micro_batch_indices(
    *,
    consumed_samples: int,
    global_batch_size: int,
    micro_batch_size: int,
    data_parallel_rank: int,
    data_parallel_size: int,
) -> Iterator[range]:
    """Yield the sample numbers of each micro batch of one step of one replica.

    Micro batch m of all replicas together is a run of consecutive samples, so that a step sees
    the same samples whatever the number of replicas.

    >>> [list(indices) for indices in micro_batch_indices(consumed_samples=8, global_batch_size=8,
    ...     micro_batch_size=2, data_parallel_rank=1, data_parallel_size=2)]
    [[10, 11], [14, 15]]
    """
    stride = micro_batch_size * data_parallel_size
    offset = consumed_samples + data_parallel_rank * micro_batch_size
    for start in range(0, global_batch_size, stride):
        yield range(offset + start, offset + start + micro_batch_size)
