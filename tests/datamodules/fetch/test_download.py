"""Downloads that nothing disturbs, against a web server on this machine."""

import gzip
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import esc50 as fake_esc50
from fakes.downloads import offered, part, tarred, tree, zipped
from fakes.server import Server

from datamodules.esc50 import ESC50
from datamodules.fetch.download import ChecksumError, DownloadError, download
from datamodules.fetch.sources import SOURCES


@pytest.mark.slow
def test_a_dataset_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    fake_esc50.write(tmp_path / "made")
    files = {f"ESC-50-x/{name}": (tmp_path / "made" / name).read_bytes() for name in tree(tmp_path / "made")}
    source = replace(offered(server, zipped(files), inner="ESC-50-x"), contents={"audio/*.wav": 50})
    target = tmp_path / "data" / "esc50"
    told: list[str] = []
    outcome = download(source, target, report=lambda what, done, total: told.append(what))
    assert (outcome.state, outcome.where) == ("downloaded", target)
    assert ESC50.find(target) is None
    assert tree(target) == {*tree(tmp_path / "made"), "download.json"}
    assert all(
        (target / name).read_bytes() == (tmp_path / "made" / name).read_bytes() for name in tree(tmp_path / "made")
    )
    content = server.files["set.zip"]
    wanted = {
        "name": "set.zip",
        "url": server.url("set.zip"),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert outcome.files == (wanted,)
    about = json.loads((target / "download.json").read_text())
    assert about["files"] == [wanted]
    assert (about["licence"], about["citation"]) == ("CC0", "Nobody 2026")
    assert sorted(set(told)) == ["set.zip", "unpacking", "verifying set.zip"]
    assert {path.name for path in part(target).parent.iterdir()} == {"lock"}  # the archive is not kept

    assert download(source, target).state == "here"
    assert len(server.requests) == 1


LAYOUTS = {
    "esc50": (zipped, "ESC-50-33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6/", ["meta/esc50.csv", "audio/1-100032-A-0.wav"]),
    "urbansound8k": (tarred, "UrbanSound8K/", ["metadata/UrbanSound8K.csv", "audio/fold1/101415-3-0-2.wav"]),
    "ravdess": (zipped, "", ["Actor_01/03-01-01-01-01-01-01.wav"]),
    "musan": (
        tarred,
        "musan/",
        ["music/fma/music-fma-0000.wav", "speech/librivox/speech-librivox-0000.wav", "noise/free-sound/n-0.wav"],
    ),
    "gtzan-music-speech": (tarred, "music_speech/", ["music_wav/bagpipe.wav", "speech_wav/acomic.wav"]),
    "audioset-embeddings": (
        tarred,
        "",
        [f"audioset_v1_embeddings/{half}/{name}.tfrecord" for half in ("bal_train", "eval") for name in ("aA", "AA")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_official_layouts(server: Server, tmp_path: Path, name: str) -> None:
    """Archives with the real top folder and names, fewer of them, end where the dataset is looked for."""
    pack, top, files = LAYOUTS[name]
    content = pack({f"{top}{file}": file.encode() for file in files} | {f"{top}._hidden.wav": b"macOS"})
    source, served = SOURCES[name], []
    for file in source.files:
        data = content if file.inner is not None else b"index,mid,display_name\n"
        server.files[file.name] = data
        digest = file.digest and f"sha256:{hashlib.sha256(data).hexdigest()}"
        served.append(replace(file, url=server.url(file.name), size=file.size and len(data), digest=digest))
    plain = {file.name for file in source.files if file.inner is None}
    contents = {p: sum(Path(f).match(p.replace("**/", "*/")) for f in (*files, *plain)) for p in source.contents}
    assert all(contents.values())
    download(replace(source, files=tuple(served), contents=contents), tmp_path / name)
    assert tree(tmp_path / name) == {*files, *plain, "download.json"}


def test_a_mirror(server: Server, tmp_path: Path) -> None:
    source = offered(server)
    server.files["copies/set.zip"] = server.files.pop("set.zip")
    download(source, tmp_path / "set", mirror=server.url("copies/"))
    assert [request.path for request in server.requests] == ["/copies/set.zip"]
    server.files["copies/set.zip"] += b"!"
    with pytest.raises(DownloadError, match="published"):
        download(source, tmp_path / "again", mirror=server.url("copies"))


def test_a_file_without_checksum_is_trusted_once(server: Server, tmp_path: Path) -> None:
    source = offered(server, digest=None, size=None)
    download(source, tmp_path / "set")
    first = part(tmp_path / "set").parent / "first.json"
    assert json.loads(first.read_text()) == {"set.zip": hashlib.sha256(server.files["set.zip"]).hexdigest()}
    shutil.rmtree(tmp_path / "set")
    download(source, tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    offered(server)  # other content
    with pytest.raises(ChecksumError, match=r"the first time, by '.*first\.json', it was"):
        download(source, tmp_path / "set")
    first.unlink()
    assert download(source, tmp_path / "set").state == "downloaded"


def test_gzip_is_told_by_its_bytes(server: Server, tmp_path: Path) -> None:
    """A tar.gz that a server sends under a zip's name is unpacked all the same."""
    source = offered(server, tarred({"top/audio/a.wav": b"a", "top/audio/b.wav": b"b"}))
    download(source, tmp_path / "set")
    assert gzip.decompress(server.files["set.zip"])
