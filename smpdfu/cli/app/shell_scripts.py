"""The completion scripts of bash, zsh and fish.

bash splits a word at each colon (``COMP_WORDBREAKS``), so ``virtual:desk`` would arrive as three words, and bash
replaces only the part after the last colon. The script passes the line as it is typed, and cuts the answers. A folder
(it ends with /) and the begin of an address (it ends with :) are not followed by a space, so that you can type on.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

import typer

from smpdfu.cli.app.tree import COMPLETE_VAR, COMPLETION_OPTIONS, wanted_command

BASH = r"""
_smpdfu_completion() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} word start
    COMPREPLY=( $( _SMPDFU_LINE="$line" _SMPDFU_COMPLETE=complete_bash "$1" ) )
    word=${line##*[[:space:]]}
    [[ $word == --*=* ]] && word=${word#*=}
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        start=${word%"${word##*:}"}
        COMPREPLY=( "${COMPREPLY[@]#"$start"}" )
    fi
    [[ $line == *[\'\"]* ]] || for start in "${!COMPREPLY[@]}"; do
        printf -v "COMPREPLY[start]" %q "${COMPREPLY[start]}"
    done
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:/] ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -o default -F _smpdfu_completion smpdfu
"""
ZSH = r"""
#compdef smpdfu

_smpdfu_completion() {
  local -a lines whole open
  local line
  lines=("${(@f)$(_TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT-1]} $PREFIX" \
    _TYPER_COMPLETE_FISH_ACTION=get-args _SMPDFU_COMPLETE=complete_fish smpdfu)}")
  for line in $lines; do
    line=${line%%$'\t'*}
    if [[ $line == *[:/] ]]; then open+=("$line"); else whole+=("$line"); fi
  done
  if (( ! ${#whole} && ! ${#open} )); then _files; return; fi
  compadd -- $whole
  compadd -S '' -- $open
}

compdef _smpdfu_completion smpdfu
"""
_FISH_ASKS = (
    "env _SMPDFU_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION={} _TYPER_COMPLETE_ARGS=(commandline -cp) smpdfu"
)
FISH = f'complete -c smpdfu -f -a "({_FISH_ASKS.format("get-args")})" -n "{_FISH_ASKS.format("is-args")}"'
SCRIPTS: Mapping[str, str] = {"bash": BASH.strip(), "zsh": ZSH.strip(), "fish": FISH}

PLACES: Mapping[str, str] = {
    "bash": ".bash_completions/smpdfu.sh",
    "zsh": ".zfunc/_smpdfu",
    "fish": ".config/fish/completions/smpdfu.fish",
}
"""Where a script is installed, under the home folder."""
LOADERS: Mapping[str, str] = {"bash": "source {}", "zsh": "autoload -Uz compinit && compinit && source {}"}
"""The line of a shell's start file that loads it; fish needs none."""


_SHELLS_OF_TYPER = ("powershell", "pwsh")
_DEFAULT_SHELL = "powershell" if sys.platform == "win32" else ""


def answer(words: Sequence[str]) -> bool:
    """Print or install the script that is asked for; False if it is not ours, or a shell asks for words.

    Raises typer.BadParameter for a shell that smpdfu has no script for.
    """
    asked = os.environ.get(COMPLETE_VAR, "")
    if asked:
        split_line()
        script = SCRIPTS.get(asked.removeprefix("source_"))
        if script is not None:
            typer.echo(script)
        return script is not None
    found = _request(words)
    if found is None:
        return False
    option, shell = found
    if shell in _SHELLS_OF_TYPER:
        return False
    if shell not in SCRIPTS:
        raise typer.BadParameter(
            f"there is no completion for {shell or 'your shell: the variable SHELL is empty'}. Name one of "
            f"{', '.join(SCRIPTS)} after {option}"
        )
    if option == COMPLETION_OPTIONS[0]:
        typer.echo(SCRIPTS[shell])
        return True
    path = _install(shell)
    typer.echo(f"{shell} completion is installed in {path}. It works in the next shell that you start.")
    return True


def _request(words: Sequence[str]) -> tuple[str, str] | None:
    """The option that asks for a script, first or behind a command, and the shell; None if none does."""
    rest = words[1:] if wanted_command(words[:1], {}) else words
    option, equals, shell = rest[0].partition("=") if rest else ("", "", "")
    if option not in COMPLETION_OPTIONS:
        return None
    if not equals:
        shell = rest[1] if len(rest) > 1 else Path(os.environ.get("SHELL") or _DEFAULT_SHELL).name
    return option, shell


def _install(shell: str) -> Path:
    """Write the script where the shell finds it, and have the shell's start file load it. Raises OSError."""
    home = Path.home()
    path = home / PLACES[shell]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPTS[shell] + "\n", "utf-8")
    if shell in LOADERS:
        start = home / f".{shell}rc"
        line = LOADERS[shell].format(shlex.quote(str(path)))
        text = start.read_bytes() if start.exists() else b""
        if line.encode() not in text.splitlines():  # added at the end: what a person wrote there is never rewritten
            with start.open("ab") as file:
                file.write((b"" if text.endswith(b"\n") or not text else b"\n") + line.encode() + b"\n")
    return path


def split_line(environment: MutableMapping[str, str] = os.environ) -> None:
    """Split the line that the bash script hands over into the words that typer wants."""
    line = environment.pop("_SMPDFU_LINE", None)
    if line is None:
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[str] = []
    try:
        found.extend(lexer)
    except ValueError:  # a quote that is open still: its text is what is being typed
        found.append(lexer.token)
    if not line or line[-1].isspace():
        found.append("")
    environment["COMP_WORDS"] = shlex.join(found)
    environment["COMP_CWORD"] = str(len(found) - 1)
