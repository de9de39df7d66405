"""How much was written since this droplet was opened."""
import entries
import machine


def keep_baseline() -> None:
    """Remembers where the entries' counts are. Taken before writes are let through:
    it cannot miss one. An entry that cannot be asked counts as written to."""
    marks = {}
    for entry in entries.of(machine.spec()):
        try:
            marks[entry.name] = {"mark": entry.mark()}
        except Exception as error:
            machine.note(f"{entry.name}: its writes cannot be counted: {type(error).__name__}")
    machine.store(machine.kept("baseline.json"), {"since_ms": machine.now_ms(), "entries": marks})


def writes(_: list[str]) -> None:
    base = machine.load(machine.kept("baseline.json"))
    if base is None:
        raise machine.Fault("engine", "nobody counted the writes on this droplet from its start")
    found = []
    for entry in entries.of(machine.spec()):
        known = base["entries"].get(entry.name)
        count = counted(entry, known)
        found.append({"name": entry.name, "count": count, "unit": entry.unit})
    machine.say({"since_ms": base["since_ms"], "total": sum(one["count"] for one in found), "entries": found})


def counted(entry: entries.Entry, known: dict | None) -> int:
    """An entry that could not be asked before, or that was not there, counts as
    written to as soon as it is there."""
    try:
        return entry.since(known["mark"]) if known else int(not entry.facts()["empty"])
    except machine.Fault as fault:
        if fault.code == "entry-empty":
            return 0
        raise
