"""SALAD: places of a feature map, shared out among clusters by optimal transport and summed."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


def cluster_mass(positions: int, clusters: int) -> float:
    """How much each cluster takes of places that weigh 1 each; the dustbin takes what is left.

    It is 1 where there are more places than clusters. With fewer, clusters and dustbin take the
    same, positions / (clusters + 1), which continues it: at clusters + 1 places both rules give 1.
    """
    return min(1.0, positions / (clusters + 1))


def transport(scores: Tensor, masses: Tensor, iterations: int) -> Tensor:
    """Share out places among sinks by Sinkhorn's algorithm, in the logarithmic domain.

    The plan is exp(scores) scaled by a factor per sink and one per place. Each iteration fits the
    sinks' factors and then the places', so that every place is shared out in full, while the sinks'
    sums approach `masses` with the number of iterations.

    Args:
        scores: how well a place suits a sink, (B, sinks, places) float32.
        masses: how much each sink takes in all, (sinks,), positive; their sum is `places`.
        iterations: at least 1.

    Returns:
        the plan, (B, sinks, places), 0 to 1; the sum over the sinks is 1.
    """
    wanted = masses.log()[:, None]
    places = torch.zeros_like(scores[:, :1])
    for _ in range(iterations):
        sinks = wanted - (scores + places).logsumexp(dim=2, keepdim=True)
        places = -(scores + sinks).logsumexp(dim=1, keepdim=True)
    return (scores + sinks + places).exp()


class Salad(nn.Module):
    """Aggregation by optimal transport (Izquierdo and Civera, CVPR 2024), from its formulas.

    Two small networks see each place of the feature map: one describes it, one says how well it
    suits each cluster. Places are shared out among the clusters and a dustbin; a cluster is the sum
    of the descriptions, weighted by its shares, and the dustbin's share is lost. Without a token
    for the whole picture, as LRFR has it. The order of the places changes nothing.

    With N places and m clusters, each cluster takes `cluster_mass` and the dustbin what is left:
    N - m where N > m, as published; the case N <= m is not defined there.

    Source: Izquierdo and Civera 2024, arXiv:2311.15937.

    Args:
        channels: of the feature map.
        clusters: number of clusters, m.
        dims: numbers that describe a cluster.
        hidden: width of the two networks' only hidden layer.
        dropout: chance that a hidden number is left out in training.
        iterations: of Sinkhorn's algorithm.
    """

    def __init__(
        self,
        channels: int,
        *,
        clusters: int = 128,
        dims: int = 64,
        hidden: int = 512,
        dropout: float = 0.3,
        iterations: int = 3,
    ) -> None:
        super().__init__()
        self.clusters, self.iterations = clusters, iterations
        self.describe = _perceptron(channels, hidden, dims, dropout)
        self.score = _perceptron(channels, hidden, clusters, dropout)
        self.dustbin = nn.Parameter(torch.tensor(1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Describe feature maps, (B, C, h, w); returns (B, clusters * dims) of unit length.

        The numbers of a cluster stand together, and each cluster counts the same: its part has the
        length 1 / sqrt(clusters), or 0 where its sum is nought.
        """
        described = self.describe(features).flatten(2).float()
        scores = self.score(features).flatten(2).float()
        with torch.autocast(features.device.type, enabled=False):
            sums = self._shares(scores) @ described.transpose(1, 2)
            return normalize(normalize(sums, dim=2).flatten(1), dim=1)

    def _shares(self, scores: Tensor) -> Tensor:
        """Shares of each place in the clusters, (B, clusters, N), of scores of that shape."""
        positions = scores.shape[2]
        mass = cluster_mass(positions, self.clusters)
        masses = scores.new_full((self.clusters + 1,), mass)
        masses[-1] = positions - self.clusters * mass
        dustbin = self.dustbin.float().expand(len(scores), 1, positions)
        plan = transport(torch.cat([scores, dustbin], dim=1), masses, self.iterations)
        return plan[:, :-1]


def _perceptron(channels: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1),
        nn.Dropout(dropout),
        nn.ReLU(),
        nn.Conv2d(hidden, out, 1),
    )
