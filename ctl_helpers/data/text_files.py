"""Files of sets of labelled texts: where they are published, and whether they are the same."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ctl_helpers.data.dataset import downloading
from ctl_helpers.project import data_folder
from ctl_helpers.weights.checksums import checked, file_checksum

_GITHUB = "https://raw.githubusercontent.com"
_FACEBOOK = "https://dl.fbaipublicfiles.com"


@dataclass(frozen=True)
class TextFiles:
    """The files of a set.

    Attributes:
        title: what a person calls it.
        folder: where they are in a data folder.
        checksums: file → SHA-256.
        address: where they are published: a folder, or an archive that ends with ``.zip``.
        inside: the folder in the archive.
        made: how they differ from what is published; such files cannot be downloaded.
    """

    title: str
    folder: str
    checksums: Mapping[str, str]
    address: str = ""
    inside: str = ""
    made: str = ""

    def paths(self) -> dict[str, Path]:
        """File → path, once its bytes are those that are expected.

        Raises:
            MissingDataError: one is not in the data folder, or is damaged.
        """
        files = {f"{self.folder}/{name}": value for name, value in self.checksums.items()}
        return dict(zip(self.checksums, checked(self.title, files, self.remedy), strict=True))

    @property
    def remedy(self) -> str:
        """How to get them, after a colon."""
        if self.made:
            return (
                f"it is no public download ({self.made}); set CTL_DATA_DIR to a folder that holds "
                f"{self.folder}"
            )
        return (
            "run `ctl data real-minilm` to download it, or set CTL_DATA_DIR to a folder that holds "
            f"{self.folder}"
        )

    def fetch(self) -> None:
        """Download those that are not there yet.

        Raises:
            MissingDataError: no server could be reached, other bytes came, or there is no address.
        """
        folder = data_folder() / self.folder
        wanted = [name for name in self.checksums if not (folder / name).is_file()]
        if self.made or not wanted:
            self.paths()
            return
        with downloading(self.title, folder, self.folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                for name in wanted:
                    path = self._downloaded(name, Path(fresh))
                    if file_checksum(path) != self.checksums[name]:
                        raise RuntimeError(f"{self.address} has another {name} than it had")
                    os.replace(path, folder / name)

    def _downloaded(self, name: str, folder: Path) -> Path:
        import torch

        path = folder / name
        if not self.address.endswith(".zip"):
            torch.hub.download_url_to_file(f"{self.address}/{name}", str(path), progress=False)
            return path
        archive = folder / "archive.zip"
        if not archive.is_file():
            torch.hub.download_url_to_file(self.address, str(archive), progress=False)
        try:
            with zipfile.ZipFile(archive) as files:
                path.write_bytes(files.read(f"{self.inside}/{name}"))
        except (KeyError, zipfile.BadZipFile) as error:
            raise RuntimeError(f"{self.address}: {error}") from None
        return path


def _tweets(kind: str, checksums: Mapping[str, str]) -> TextFiles:
    address = f"{_GITHUB}/cardiffnlp/tweeteval/main/datasets/{kind}"
    return TextFiles(f"TweetEval's {kind}", f"TweetEval/{kind}", checksums, address)


FILES: Mapping[str, TextFiles] = {
    "SST-2": TextFiles(
        "SST-2",
        "GLUE/SST-2",
        {
            "train.tsv": "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
            "dev.tsv": "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
        },
        f"{_FACEBOOK}/glue/data/SST-2.zip",
        "SST-2",
    ),
    "AG News": TextFiles(
        "The part of AG News",
        "AGNews",
        {"test.csv": "72b844642f92fb74fe397f0d1dd8a46d4cfd6fff60bc5c1a214fe40c44708fd7"},
        made="its test part, exported again with a header",
    ),
    "TREC": TextFiles(
        "TREC",
        "TREC",
        {
            "train_5500.label": "8bd6e79493f43bbd22c364587366a1dced54e1e31259eaa92721a0f526031116",
            "TREC_10.label": "86ad53c8fc9d397ab2f4be7c967d8efb470b260140557d3e57afad69d1b88b76",
        },
        made="its questions, without quotation marks and apostrophes",
    ),
    "Banking77": TextFiles(
        "Banking77",
        "Banking77",
        {
            "train.csv": "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
            "test.csv": "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
        },
        f"{_GITHUB}/PolyAI-LDN/task-specific-datasets/master/banking_data",
    ),
    "CLINC150": TextFiles(
        "CLINC150",
        "CLINC150",
        {"data_full.json": "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0"},
        f"{_GITHUB}/clinc/oos-eval/master/data",
    ),
    "Subj": TextFiles(
        "Subj",
        "Subj",
        {
            "subj.objective": "5ddc9b44dc60d64d651347fcd7bdd489b0c70661e3f768215c16eea36f51204a",
            "subj.subjective": "73a2dcf8dc3cbcc7f068a70ef9f021c86b2a8e4dac81566b7fd015b3e938f2c5",
        },
        f"{_FACEBOOK}/senteval/senteval_data/datasmall_NB_ACL12.zip",
        "data/subj",
    ),
    "emotion": _tweets(
        "emotion",
        {
            "train_text.txt": "2c62f67aeb3eac1aea0e5a9c3d0f4bc337992581f3f858061786a1fb4d79d95e",
            "train_labels.txt": "987e767d8679e18abdf7de37a6d2bcd0a40a296ddd704e8d515cf0e3033c8d9c",
            "val_text.txt": "e2e30c86b8cbb97944d6543aedc06eace3bb275cb2f381aba787b838b4f23ca5",
            "val_labels.txt": "313730630160b7e0a6b4235b800c76683f4aeeb72d094eb69646630cd5cfe338",
            "test_text.txt": "7e1070f5d3e3fcece5bc73680bff9981e90d8f7b2f1009bfe7a01d059d1c6091",
            "test_labels.txt": "245072348c711961785be6d395997f97cf7fcda3effeae7805664171dc75f913",
        },
    ),
    "offensive": _tweets(
        "offensive",
        {
            "train_text.txt": "78a7a32e38b10af7d8970b008bf17f661c8d0a90dad145fa0fa6a944669650db",
            "train_labels.txt": "c0b7d6ebdaa4ebcf6fc557ef1e775d92eda160218a0e3b1dd48eb8234dc892a6",
            "val_text.txt": "816f36d180c35f15a5104838cb73856a0bef42043482fe738f3481b06242a55c",
            "val_labels.txt": "ed2deb776bd1c52fb8221fadd3360e32d9dfe46842d78053528126e46363a258",
            "test_text.txt": "25b08c3333c26190f1023961c4508ec9aab24d4722b1a3ea7a6040724c120547",
            "test_labels.txt": "41d05a7aa0b01f5dafab21b95adb4f979cb4226c046ff315702774d10dac1605",
        },
    ),
    "STS-B": TextFiles(
        "STS-B",
        "GLUE/STS-B",
        {
            "train.tsv": "41c4d978b6162abdcada7e49a982211954cca5459c228db478af333124b257a2",
            "dev.tsv": "fe7dc0632a5033562f3cadff991f6e8d9b9b6311861660e78c3c82eb7db67f59",
        },
        f"{_FACEBOOK}/glue/data/STS-B.zip",
        "STS-B",
    ),
}
"""Kind of text → its files."""
