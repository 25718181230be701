"""The forms of what pipelines take of us: the action, the GitLab component, the container file, west's command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipelines.containerfile import Stage, read_stages
from tests.pipelines.gitlab_ci import filled_in_text, read_component, template
from tests.test_docs import command_tree, read

# What the runner reads of an action (src/Runner.Worker/action_yaml.json), and what only GitHub's site does.
ROOT_KEYS = {"name", "description", "author", "branding", "inputs", "outputs", "runs"}
RUN_KEYS = {"name", "id", "if", "run", "env", "continue-on-error", "working-directory", "shell"}
USES_KEYS = {"name", "id", "if", "uses", "continue-on-error", "with", "env"}
# docs.gitlab.com/ci/yaml: the keywords of a job that ours has, and of its parts.
JOB_KEYWORDS = {"stage", "image", "rules", "variables", "before_script", "script", "artifacts"}
INPUT_KEYWORDS = {"description", "default", "type"}


@pytest.fixture(scope="module")
def action(root: Path) -> Any:
    return yaml.safe_load((root / "action.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def stages(root: Path) -> list[Stage]:
    return read_stages(root)


def test_the_action_has_the_keys_of_a_composite_action(action: Any) -> None:
    assert set(action) == ROOT_KEYS
    assert action["runs"]["using"] == "composite"
    assert set(action["runs"]) == {"using", "steps"}
    for step in action["runs"]["steps"]:
        assert set(step) <= (USES_KEYS if "uses" in step else RUN_KEYS), step["name"]
        assert "uses" in step or step["shell"] == "bash"
    assert all(set(one) <= {"description", "default", "required"} for one in action["inputs"].values())
    assert all(set(one) == {"description", "value"} for one in action["outputs"].values())
    assert all("default" in one or one.get("required") for one in action["inputs"].values())


def test_no_input_of_the_action_becomes_a_part_of_a_script(action: Any) -> None:
    assert [step["name"] for step in action["runs"]["steps"] if "${{" in step.get("run", "")] == []


def test_foreign_actions_are_pinned_by_their_commit(root: Path) -> None:
    lines = [line for line in (root / "action.yml").read_text("utf-8").splitlines() if " uses: " in line]
    assert len(lines) == 2
    for line in lines:
        assert re.search(r"uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_the_component_has_the_keywords_of_gitlab(root: Path) -> None:
    component = template(root)
    assert all(set(one) <= INPUT_KEYWORDS and "description" in one for one in component.inputs.values())
    assert [name for name, one in component.inputs.items() if "default" not in one] == ["public-key"]
    assert list(component.jobs) == ["smpdfu-package"]
    job = component.jobs["smpdfu-package"]
    assert set(job) == JOB_KEYWORDS
    assert set(job["artifacts"]) == {"name", "expire_in", "paths"}
    assert job["image"] == {"name": "python:3.13.14-slim", "entrypoint": [""]}
    assert job["rules"] == [{"if": "$CI_COMMIT_TAG"}]
    assert job["artifacts"]["paths"] == ["dist"]
    assert all(isinstance(line, str) for line in (*job["script"], *job["before_script"]))


def test_no_input_of_the_component_becomes_a_part_of_a_script(root: Path) -> None:
    body = (root / "templates" / "package.yml").read_text("utf-8").partition("\n---\n")[2]
    script = body.partition("before_script:")[2].partition("artifacts:")[0]
    assert "smpdfu package" in script
    assert "$[[" not in script


def test_variables_are_text_in_each_way_to_fill_inputs_in(root: Path) -> None:
    """GitLab refuses a variable that is true, false or nothing, and reads 1.10 as a number."""
    (job,) = filled_in_text(root).values()
    assert job == template(root, public_key="").jobs["smpdfu-package"]
    assert all(isinstance(one, str) for one in job["variables"].values())


def test_inputs_have_their_type(root: Path) -> None:
    rules = [{"if": '$CI_COMMIT_BRANCH == "main"'}]
    job = template(root, job_name="sign", stage="release", rules=rules, release=False).jobs["sign"]
    assert (job["stage"], job["rules"], job["variables"]["SMPDFU_RELEASE"]) == ("release", rules, "release=false")
    with pytest.raises(ValueError, match="release is not of type boolean"):
        template(root, release="no")
    with pytest.raises(ValueError, match="public-key is required"):
        read_component(root / "templates" / "package.yml", {})


def test_the_base_is_pinned_and_the_user_is_not_root(stages: list[Stage]) -> None:
    before, build, final = stages
    assert before.instructions == (("ARG", "PYTHON_IMAGE=docker.io/library/python:3.13.14-slim"),)
    assert build.all("FROM") == ["${PYTHON_IMAGE} AS build"]
    assert final.all("FROM") == ["${PYTHON_IMAGE}"]
    assert final.all("USER") == ["10001"]
    assert final.all("ENTRYPOINT") == ['["smpdfu"]']
    words = {name for stage in stages for name, _ in stage.instructions}
    assert words == {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "ENTRYPOINT", "CMD"}


def test_what_is_copied_is_let_in(root: Path, stages: list[Stage]) -> None:
    sources = {source for rest in stages[1].all("COPY") for source in shlex.split(rest)[:-1]}
    ignored = [line for line in (root / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == {
        source.removeprefix("./") for source in sources
    }
    assert all((root / source).exists() for source in sources)


def test_wests_description_of_the_command_is_as_west_wants_it(root: Path) -> None:
    """As in west's schema (west/west-commands-schema.yml), with the class that it names."""
    (described,) = yaml.safe_load((root / "scripts" / "west-commands.yml").read_text("utf-8"))["west-commands"]
    assert set(described) == {"file", "commands"}
    (command,) = described["commands"]
    assert set(command) == {"name", "class", "help"}
    source = (root / described["file"]).read_text("utf-8")
    assert f"class {command['class']}(WestCommand):" in source
    assert f'"{command["help"]}"' in source


def test_wests_options_are_no_options_of_smpdfu() -> None:
    """West takes them before smpdfu sees them."""
    for name in ("package", "update"):
        options = {one for parameter in command_tree().commands[name].params for one in parameter.opts}
        assert not options & {"-d", "--build-dir", "--package"}


def test_the_page_shows_inputs_and_variables_that_there_are(root: Path, action: Any) -> None:
    page = root / "docs" / "release-pipeline.md"
    shown = [yaml.safe_load(block.text) for block in read(page) if block.words[:1] == ("yaml",)]
    workflow, pipeline, manifest = shown
    (used,) = [
        step for step in workflow["jobs"]["release"]["steps"] if step.get("uses", "").startswith("OWNER/smpdfu@")
    ]
    assert set(used["with"]) <= set(action["inputs"])
    assert {name for name, one in action["inputs"].items() if one.get("required")} <= set(used["with"])
    outputs = re.findall(r"steps\.smpdfu\.outputs\.([\w-]+)", str(workflow))
    assert outputs
    assert set(outputs) <= set(action["outputs"])
    (included,) = pipeline["include"]
    component = template(root, **{name.replace("-", "_"): value for name, value in included["inputs"].items()})
    assert set(pipeline) == {"include", *component.jobs}
    source = (root / "templates" / "package.yml").read_text("utf-8")
    variables = set(re.findall(r"`(SMPDFU_\w+)`", page.read_text("utf-8")))
    assert variables
    assert all(f"${{{name}:-}}" in source for name in variables)
    (project,) = manifest["manifest"]["projects"]
    assert (root / project["west-commands"]).is_file()
