"""SHA256SUMS beside an artifact's files, which the program checks before it uses them."""

import hashlib
import os

NAME = "SHA256SUMS"
FILES = ("decision.json", "pair_encoder.safetensors")


def write_beside(path):
    """Lists the artifact's files that are in the folder of `path`, as sha256sum does."""
    folder = os.path.dirname(os.path.abspath(path))
    lines = []
    for name in FILES:
        file_path = os.path.join(folder, name)
        if os.path.exists(file_path):
            with open(file_path, "rb") as file:
                lines.append(f"{hashlib.sha256(file.read()).hexdigest()}  {name}\n")
    with open(os.path.join(folder, NAME), "w", encoding="ascii") as file:
        file.writelines(lines)
