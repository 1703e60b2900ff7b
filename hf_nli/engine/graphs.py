"""Steps that a GPU repeats by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class CapturedSteps:
    """A function of row numbers, captured as one CUDA graph for each shape of its arguments.

    Launching the some 300 kernels of a training step takes the host several times as long as a GPU needs to compute
    them, where a model is small. A graph launches them all at once.

    Args:
        compute: What to capture; it may not wait for the device. It gets row numbers, int64 (examples,), and what to
            pad each of them to, and gives figures.
    """

    def __init__(self, compute: Callable[[Sequence[Tensor], Sequence[int]], Tensor]) -> None:
        self.compute = compute
        self._graphs: dict[tuple[tuple[int, int], ...], tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor] | None] = {}
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, rows: Sequence[Tensor], widths: Sequence[int]) -> Tensor:
        """Computes; of a shape that comes for the first time without a graph, which may be all there is of it.

        Args:
            rows: Row numbers on the host, int64 (examples,).
            widths: What to pad each to.

        Returns:
            The figures, on the device.
        """
        shape = tuple((len(each), width) for each, width in zip(rows, widths, strict=True))
        if shape not in self._graphs:
            self._graphs[shape] = None
            return self._uncaptured(rows, widths)
        captured = self._graphs[shape] or self._capture(shape)
        graph, places, figures = captured
        for place, each in zip(places, rows, strict=True):
            place.copy_(each.pin_memory(), non_blocking=True)
        graph.replay()
        return figures.clone()

    def _uncaptured(self, rows: Sequence[Tensor], widths: Sequence[int]) -> Tensor:
        """Computes on the stream that captures, as PyTorch wants what is captured to be warmed up."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            figures = self.compute([each.cuda() for each in rows], widths)
        torch.cuda.current_stream().wait_stream(self._stream)
        return figures

    def _capture(self, shape: tuple[tuple[int, int], ...]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        places = [torch.zeros(count, dtype=torch.long, device="cuda") for count, _ in shape]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            figures = self.compute(places, [width for _, width in shape])
        self._graphs[shape] = graph, places, figures
        return graph, places, figures
