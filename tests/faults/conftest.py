"""The table of `make test-faults`."""

HEAD = (
    "| fault | injected | shards lost | same command completed | same bits | what came of it |",
    "| --- | --- | --- | --- | --- | --- |",
)


def pytest_terminal_summary(terminalreporter):
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.stats.get(outcome, ())]
    rows = sorted(
        value for r in reports if r.when == "call" for key, value in r.user_properties if key == "fault"
    )
    if rows:
        terminalreporter.section("faults")
        for line in HEAD:
            terminalreporter.line(line)
        for _, *cells in rows:
            terminalreporter.line(f"| {' | '.join(map(str, cells))} |")
        sums = [sum(row[i] for row in rows) for i in range(2, 6)]
        terminalreporter.line(f"| {len(rows)} kinds | {' | '.join(map(str, sums))} | |")
