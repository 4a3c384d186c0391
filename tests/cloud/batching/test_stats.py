"""What the batcher counts."""

from partway.cloud.batching.stats import BatchStats


def test_a_batch_counts_by_its_first_stage() -> None:
    """Batches, samples, and those whose frames had entered at different cuts."""
    stats = BatchStats()
    stats.ran("m", 1, [1, 1], 5)
    stats.ran("m", 1, [0, 1], 2)
    stats.ran("m", 2, [2], 1)
    assert dict(stats.batches) == {("m", 1): 2, ("m", 2): 1}
    assert dict(stats.rows) == {("m", 1): 7, ("m", 2): 1}
    assert stats.merged["m", 1] == 1 and stats.merged["m", 2] == 0
    assert stats.sizes["m", 1, 2] == 2
