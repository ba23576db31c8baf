"""The tables of a release, read from git, so that a published store says what changed since."""

from bench.errors import BenchError
from bench.leaderboard import changes, files, interface
from bench.profiling.environment import git
from bench.records import Store, write_whole


def keep_release(store: Store, since: str, name: str = "") -> list[str]:
    """Keep a commit's tables in a published store, and draw what changed since them; return what was written.

    Args:
        store: the published store, in a git checkout.
        since: a tag, a branch or a commit.
        name: how the release is called; `since` if empty.

    Raises:
        BenchError: git knows no such commit, or it has no tables of the store.
    """
    commit = git(store.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{since}^{{commit}}")
    if commit is None:
        raise BenchError(f"git knows no {since!r} in {store.root}: name a tag, a branch or a commit of its repository")
    date = git(store.root, "show", "--no-patch", "--format=%cs", commit)
    listed = git(store.root, "ls-tree", "--name-only", "-z", commit, "./") or ""
    names = [name for name in listed.split("\0") if name.endswith(".json")]
    texts = {name.removesuffix(".json"): git(store.root, "show", f"{commit}:./{name}") or "" for name in names}
    tables = changes.tables_of(texts)
    if not tables:
        raise BenchError(f"{since} has no tables of {store.root}: name a commit at which they were published")
    path = store.root / interface.FOLDER / changes.FILE
    path.parent.mkdir(exist_ok=True)
    write_whole(path, changes.release_text(name or since, commit, date or "", tables).encode())
    written = [path]
    for each, text in files.shared_texts(store).items():
        write_whole(each, text.encode())
        written.append(each)
    return [str(each) for each in written]
