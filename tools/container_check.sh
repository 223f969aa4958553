#!/usr/bin/env bash
# Runs the Dockerfile's own steps in a clean temporary folder, for machines without a container engine.
#
# The instructions are read from the Dockerfile, so what is checked is what is built: stages `anvil` and `build` are run
# with their absolute paths moved below the folder; of the last stage only what would change this machine (users, the
# system Python) is left out. Then the result is used as the image would be: an unprivileged user, nothing writable but
# the data folder, the image's own environment, health check and entry point.
#
#   tools/container_check.sh [--no-anvil] [--keep]
set -euo pipefail

cd "$(dirname "$0")/.."
repo=$PWD
anvil=yes keep=no
for option in "$@"; do
  case $option in
    --no-anvil) anvil=no ;;
    --keep) keep=yes ;;
    *) echo "usage: tools/container_check.sh [--no-anvil] [--keep]" >&2; exit 2 ;;
  esac
done

# The container's user, when this script may become it.
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs); fi

# A Python that this user may run too (one below /root is none).
python=
for candidate in "${PYTHON:-}" python3.12 python3.13 python3.11 python3 /usr/bin/python3; do
  found=$(command -v "$candidate" 2>/dev/null) || continue
  found=$("$found" -c 'import ensurepip, os, sys; assert sys.version_info >= (3, 11); print(os.path.realpath(sys.executable))' 2>/dev/null) || continue
  if (cd / && "${as_user[@]}" env "$found" -c '') 2>/dev/null; then python=$found; break; fi
done
if [ -z "$python" ]; then
  as_user=()
  python=$(command -v python3)
  echo "no Python 3.11+ with venv that user 10001 may run: its steps run as $(id -un)"
fi
work=$(mktemp -d)
chmod 0755 "$work"
cleanup() { if [ "$keep" = yes ]; then echo "kept: $work"; else rm -rf "$work"; fi; }
trap cleanup EXIT
root=$work/root context=$work/context
mkdir -p "$root" "$context"
failures=0

say() { printf '%-5s %s\n' "$1" "$2"; if [ "$1" = fail ]; then failures=$((failures + 1)); fi; }
check() { local what=$1; shift; if "$@" >"$work/out" 2>&1; then say ok "$what"; else say fail "$what"; tail -n 20 "$work/out"; fi; }
refute() { local what=$1; shift; if "$@" >"$work/out" 2>&1; then say fail "$what"; else say ok "$what"; fi; }

# One instruction a line: STAGE<tab>INSTRUCTION<tab>ARGUMENTS. Continuation lines are joined, comments dropped.
instructions() {
  sed -e '/^[[:space:]]*#/d' "$repo/Dockerfile" | sed -e ':a' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;ba' -e '}' |
    awk '/^FROM /{stage=(toupper($3)=="AS")?$4:"final"} NF{instruction=$1; $1=""; sub(/^ /,""); print stage "\t" instruction "\t" $0}'
}

# The image's absolute paths, below the folder.
moved() {
  sed -E "s#(^|[ ='\"(])/(opt/keeper|dist|npm|src|anvil|data)#\\1$root/\\2#g; s#(^|&& )python -m venv#\\1$python -m venv#"
}

# The build context is what .dockerignore lets through of the tracked files.
git ls-files -z pyproject.toml README.md LICENSE requirements/run.lock config keeper |
  tar --create --null --files-from=- --file=- | tar --extract --directory="$context" --file=-

run_stage() {
  local stage=$1 here=$root instruction arguments
  while IFS=$'\t' read -r _ instruction arguments; do
    case $instruction in
      WORKDIR) here=$(moved <<<"$arguments"); mkdir -p "$here" ;;
      COPY)
        # shellcheck disable=SC2206 # words are wanted
        local words=($arguments) target=${arguments##* }
        mkdir -p "$here/$target"
        for source in "${words[@]:0:${#words[@]}-1}"; do
          if [ -d "$context/$source" ]; then cp -r "$context/$source/." "$here/$target"; else cp "$context/$source" "$here/$target"; fi
        done ;;
      RUN)
        local begun=$SECONDS
        if (cd "$here" && env -u PYTHONPATH -u VIRTUAL_ENV bash -euc "$(moved <<<"$arguments")") >"$work/out" 2>&1; then
          say ok "[$stage] ${arguments:0:70}... ($((SECONDS - begun)) s)"
        else
          say fail "[$stage] $arguments"; tail -n 30 "$work/out"; exit 1
        fi ;;
      *) ;;
    esac
  done < <(instructions | awk -F'\t' -v stage="$stage" '$1 == stage')
}

echo "Dockerfile of $repo, in $work, with $("$python" --version)"
if command -v hadolint >/dev/null; then check "hadolint" hadolint Dockerfile; else say skip "hadolint is not installed"; fi
if [ "$anvil" = no ]; then say skip "[anvil] by option"
elif ! command -v npm >/dev/null; then say skip "[anvil] npm is not installed"
else
  run_stage anvil
  [ ! -x "$root/anvil/anvil" ] || check "anvil starts" "$root/anvil/anvil" --version
fi
run_stage build

venv=$root/opt/keeper
for name in pip hatchling setuptools; do
  refute "no $name in the image" "$venv/bin/python" -c "import $name"
done
check "bytecode is there for every module" "$venv/bin/python" -I - "$venv" <<'PY'
import pathlib, py_compile, sys, importlib.util as util
files = [path for path in pathlib.Path(sys.argv[1]).rglob("*.py")]
missing = [path for path in files if not pathlib.Path(util.cache_from_source(str(path))).exists()]
assert len(files) > 1000, len(files)
for path in missing:
    try:
        py_compile.compile(str(path), doraise=True, cfile="/dev/null")
    except (py_compile.PyCompileError, OSError, ValueError):
        continue
    sys.exit(f"not compiled: {path}")
PY

# ---- as the image runs it
mkdir -m 0700 -p "$root/data"
chmod -R a-w,a+rX "$venv"
cd /
if [ "${#as_user[@]}" -gt 0 ]; then chown 10001:10001 "$root/data"; else say skip "runs as $(id -un) instead of 10001"; fi
mapfile -t image_env < <(instructions | awk -F'\t' '$1 == "final" && $2 == "ENV" {print $3}' | tr ' ' '\n' | grep = | grep -v '^PATH=' | moved)
as_image=("${as_user[@]}" env -i "PATH=$venv/bin:/usr/bin:/bin" "HOME=$root/data" "${image_env[@]}")
check "nothing of the program is writable" "${as_image[@]}" sh -c "! touch '$venv/lib/probe' 2>/dev/null && ! touch '$venv/bin/keeper' 2>/dev/null"
check "keeper --version" "${as_image[@]}" keeper --version
check "keeper --help" "${as_image[@]}" keeper --help
check "the packaged chain facts are found" "${as_image[@]}" python -c \
  "from importlib.resources import files; assert (files('keeper.config') / 'files' / 'chains').is_dir()"
check "keeper run without a config ends with exit 78 and no traceback" "${as_image[@]}" sh -c \
  'code=0; said=$(keeper run 2>&1) || code=$?; echo "exit $code: $said"; [ $code = 78 ] && case $said in *Traceback*) exit 1 ;; esac'

# ---- the health check, word for word
health=$(instructions | awk -F'\t' '$2 == "HEALTHCHECK" {print $3}' | sed -E 's/^.*CMD (\[.*\])$/\1/')
mapfile -d '' -t probe < <("$python" -c 'import json, sys; sys.stdout.write("".join(word + "\0" for word in json.loads(sys.argv[1])))' "$(moved <<<"$health")")
refute "unhealthy without a heartbeat" "${as_image[@]}" "${probe[@]}"
"${as_user[@]}" touch "$root/data/heartbeat"
check "healthy with a fresh one" "${as_image[@]}" "${probe[@]}"
"${as_user[@]}" touch -d '5 minutes ago' "$root/data/heartbeat"
refute "unhealthy with a stale one" "${as_image[@]}" "${probe[@]}"
"${as_user[@]}" touch "$root/data/heartbeat"
TIMEFORMAT='%U %S'
cost=$( { time for _ in 1 2 3 4 5 6 7 8 9 10; do "${probe[@]}"; done; } 2>&1 | awk '{printf "%.0f", ($1 + $2) * 100}')
if [ "$cost" -le 60 ]; then say ok "the health check costs $cost ms of CPU"; else say fail "the health check costs $cost ms of CPU"; fi

if [ "$failures" -gt 0 ]; then echo "$failures failed"; exit 1; fi
echo "all steps passed"
