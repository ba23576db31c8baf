"""Sources of the datasets: files, sizes, checksums, licences, citations.

A checksum is the publisher's where there is one (zenodo's MD5). Otherwise it is one that several independent parties
measured on the file at this address, as the comments say. A file without any is trusted at its first download and must
not change afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file to download.

    Attributes:
        url: its address.
        name: its name on disk and on a mirror.
        size: in bytes; None where it is not known.
        digest: "sha256:..." or "md5:..."; None where it is not known.
        inner: for an archive, its folder with the dataset ("" for all of it); None for a file that is not unpacked.
        case_matters: whether names in the archive differ only by upper and lower case.
    """

    url: str
    name: str
    size: int | None = None
    digest: str | None = None
    inner: str | None = None
    case_matters: bool = False


@dataclass(frozen=True, kw_only=True)
class DownloadSource:
    """Source of a dataset.

    Attributes:
        licence: licence and its conditions, shown before a download.
        citation: the paper, or the collection where there is none.
        homepage: page about the dataset.
        files: files to download; empty where there is no direct source.
        contents: number of files by pattern in the complete dataset's folder; hidden files do not count.
        instructions: how to get it where there is no direct source, or notes before a download.
    """

    licence: str
    citation: str
    homepage: str
    files: tuple[RemoteFile, ...] = ()
    contents: Mapping[str, int] = field(default_factory=dict)
    instructions: str = ""


_AUDIOSET = "https://storage.googleapis.com/asia_audioset/youtube_corpus/v1"
_AUDIOSET_CITATION = (
    "Gemmeke et al., Audio Set: An ontology and human-labeled dataset for audio events, ICASSP 2017, "
    "https://doi.org/10.1109/ICASSP.2017.7952261"
)
_ESC50_COMMIT = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"  # master since 2023
_ESC50 = DownloadSource(
    licence="CC BY-NC 3.0: not for commercial use (ESC-10's clips: CC BY 3.0); credits in its LICENSE file",
    citation="Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015, "
    "https://doi.org/10.1145/2733373.2806390",
    homepage="https://github.com/karolpiczak/ESC-50",
    files=(
        RemoteFile(
            url=f"https://github.com/karolpiczak/ESC-50/archive/{_ESC50_COMMIT}.zip",
            name=f"ESC-50-{_ESC50_COMMIT}.zip",
            size=645_832_161,  # GitHub publishes neither; several parties measured the same for this commit
            digest="sha256:661183a6f53ef04f12c9bd618fed0ddc1713280d6c94a5a5431e844ba6f6a21f",
            inner=f"ESC-50-{_ESC50_COMMIT}",
        ),
    ),
    contents={"meta/esc50.csv": 1, "audio/*.wav": 2000},
    instructions="GitHub cannot resume: an interrupted download starts again.",
)

SOURCES: Mapping[str, DownloadSource] = {
    "esc50": _ESC50,
    "esc10": replace(_ESC50, instructions=f"ESC-10 comes as part of all of ESC-50. {_ESC50.instructions}"),
    "urbansound8k": DownloadSource(
        licence="CC BY-NC 3.0: not for commercial use; credits in its FREESOUNDCREDITS.txt",
        citation="Salamon, Jacoby, Bello, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014, "
        "https://doi.org/10.1145/2647868.2655045",
        homepage="https://zenodo.org/records/1203745",
        files=(
            RemoteFile(
                url="https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz",
                name="UrbanSound8K.tar.gz",
                size=6_023_741_708,
                digest="md5:9aa69802bbf37fb986f71ec1483a196e",  # zenodo's
                inner="UrbanSound8K",
            ),
        ),
        contents={"metadata/UrbanSound8K.csv": 1, "audio/fold*/*.wav": 8732},
    ),
    "ravdess": DownloadSource(
        licence="CC BY-NC-SA 4.0: not for commercial use, share alike; not to be used to identify the speakers",
        citation="Livingstone, Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), "
        "PLoS ONE 13(5): e0196391, 2018, https://doi.org/10.1371/journal.pone.0196391",
        homepage="https://zenodo.org/records/1188976",
        files=(
            RemoteFile(
                url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
                name="Audio_Speech_Actors_01-24.zip",
                size=208_468_073,
                digest="md5:bc696df654c87fed845eb13823edef8a",  # zenodo's
                inner="",
            ),
        ),
        contents={"Actor_*/*.wav": 1440},
    ),
    "musan": DownloadSource(
        licence="CC BY 4.0 for the corpus; each recording is in the public domain or Creative Commons, as LICENSE says",
        citation="Snyder, Chen, Povey, MUSAN: A Music, Speech, and Noise Corpus, 2015, https://arxiv.org/abs/1510.08484",
        homepage="https://www.openslr.org/17/",
        files=(
            RemoteFile(
                url="https://www.openslr.org/resources/17/musan.tar.gz",
                name="musan.tar.gz",
                size=11_086_114_085,
                digest="md5:0c472d4fc0c5141eca47ad1ffeb2a7df",  # openslr publishes none; PaddleSpeech's and others'
                inner="musan",
            ),
        ),
        contents={"music/**/*.wav": 660, "speech/**/*.wav": 426, "noise/**/*.wav": 930},
    ),
    "gtzan-music-speech": DownloadSource(
        licence="none is stated: for research, ask its author for anything else",
        citation="Tzanetakis, GTZAN Music/Speech Collection, 1999, http://marsyas.info/downloads/datasets.html",
        homepage="http://marsyas.info/downloads/datasets.html",
        files=(
            RemoteFile(
                url="http://opihi.cs.uvic.ca/sound/music_speech.tar.gz",
                name="music_speech.tar.gz",
                size=297_055_930,  # none is published; both are TensorFlow Datasets'
                digest="sha256:8753bc4129fc0a916d6efcf25dbcaf30e06b41acb44ad7c3d0b5c9d9c90ff546",
                inner="music_speech",
            ),
        ),
        contents={"music_wav/*.wav": 64, "speech_wav/*.wav": 64},
        instructions="Its server has often been away: --mirror takes the file from another place.",
    ),
    "audioset-embeddings": DownloadSource(
        licence="CC BY 4.0",
        citation=_AUDIOSET_CITATION,
        homepage="https://research.google.com/audioset/download.html",
        files=(
            RemoteFile(
                url=f"{_AUDIOSET}/features/features.tar.gz",
                name="features.tar.gz",
                size=2_588_881_044,  # none is published; both are TensorFlow Datasets', the digest others' too
                digest="sha256:cd95d500ab2422d4233cb822e25cf73033633e2068eab64d39024e85125cb760",
                inner="",
                case_matters=True,  # a file for each first two characters of a video's id: AA, Aa, aA, aa
            ),
            RemoteFile(
                url=f"{_AUDIOSET}/csv/class_labels_indices.csv",
                name="class_labels_indices.csv",
                size=14_675,
                digest="sha256:cdd1049833c4b86127c2773ac0d14a2754b6a6d0d1798002ed5c66e699708429",  # as above
            ),
            RemoteFile(
                url=f"{_AUDIOSET}/csv/balanced_train_segments.csv",
                name="balanced_train_segments.csv",
                size=1_211_931,  # measured on an unchanged copy
                digest="sha256:3b83e5ff9ed72cfda37d4e36ce08250e107c1ea70f109f6ab6668ac200db5e94",
            ),
            RemoteFile(url=f"{_AUDIOSET}/csv/eval_segments.csv", name="eval_segments.csv"),  # trusted at first sight
        ),
        contents={
            "class_labels_indices.csv": 1,
            "audioset_v1_embeddings/bal_train/*.tfrecord": 4070,
            "audioset_v1_embeddings/eval/*.tfrecord": 4062,
        },
    ),
    "audioset": DownloadSource(
        licence="CC BY 4.0 for the labels; the videos belong to their owners",
        citation=_AUDIOSET_CITATION,
        homepage="https://research.google.com/audioset/download.html",
        instructions=f"""AudioSet is a list of YouTube videos: its audio has no direct source.
1. Fetch {_AUDIOSET}/csv/balanced_train_segments.csv,
   eval_segments.csv, class_labels_indices.csv and, for the full training part, unbalanced_train_segments.csv.
2. Get the ten seconds of each line from YouTube, where the video is still there and you may, or a copy that
   somebody who may gives you. The more of them are gone, the less results compare with others'.
`bench data status audioset` says where they are looked for and what is missing.""",
    ),
    "vggsound": DownloadSource(
        licence="CC BY 4.0 for the labels; the videos belong to their owners",
        citation="Chen, Xie, Vedaldi, Zisserman, VGGSound: A Large-scale Audio-Visual Dataset, ICASSP 2020, "
        "https://doi.org/10.1109/ICASSP40776.2020.9053174",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
        instructions="""VGGSound is a list of YouTube videos: its audio has no direct source.
1. Fetch https://www.robots.ox.ac.uk/~vgg/data/vggsound/vggsound.csv (video id, start in seconds, label, part).
2. Get the ten seconds of each line from YouTube, where the video is still there and you may, or a copy that
   somebody who may gives you. The more of them are gone, the less results compare with others'.
`bench data status vggsound` says where they are looked for and what is missing.""",
    ),
}
