"""The table of which the least recently used entries go first."""

from rstar_math.execution.supervisor.lru import LRU


def test_results_are_remembered_up_to_a_number_and_a_size() -> None:
    table: LRU[str, str] = LRU(max_entries=3, max_bytes=100)
    for name in "abc":
        table.put(name, name.upper(), 10)
    assert table.get("a") == "A"
    table.put("d", "D", 10)
    assert ("b" in table, len(table), table.num_bytes) == (False, 3, 30)
    table.put("e", "E", 90)
    assert (table.get("c"), table.get("a"), table.get("d"), table.get("e")) == (None, None, "D", "E")
    table.put("d", "too large", 101)
    assert (len(table), table.num_bytes) == (1, 90)
