"""The table of sources."""

import hashlib

import pytest
from fakes.paths import DATA

from bench import catalog
from datamodules.fetch.sources import SOURCES


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_complete(name: str) -> None:
    source = SOURCES[name]
    assert source.licence
    assert source.citation
    assert source.homepage.startswith("http")
    assert source.instructions or source.files
    for file in source.files:
        assert file.url.startswith("https://" if file.size is None else "http")  # http only with a checksum
        kind, _, digest = (file.digest or "").partition(":")
        assert (kind, len(digest)) in {("sha256", 64), ("md5", 32), ("", 0)}
        assert file.digest or file.inner is None  # no archive is trusted at first sight
    assert all(count > 0 for count in source.contents.values())
    assert bool(source.contents) == bool(source.files)


def test_every_dataset_with_a_folder_has_a_source() -> None:
    sources = {name: catalog.load(entry.target).source for name, entry in catalog.DATASETS.items() if entry.folder}
    assert set(sources.values()) <= set(SOURCES)
    assert {name for name, source in sources.items() if name != source} == {"musan-streams"}


@pytest.mark.skipif(
    not (DATA / "audioset_vggish").is_dir(), reason=f"AudioSet's tables are not in {DATA}: set BENCH_DATA"
)
def test_the_real_tables_have_the_sources_checksums() -> None:
    for file in SOURCES["audioset-embeddings"].files:
        if file.inner is None and file.digest:
            content = (DATA / "audioset_vggish" / file.name).read_bytes()
            assert len(content) == file.size
            assert file.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
