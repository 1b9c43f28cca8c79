"""Pods as processes: the command, the files and the environment of a manifest, without a cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from manifests import Manifest, environment_of

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Machine:
    """What stands in for a cluster.

    Attributes:
        volumes: the folder of each volume of the pod, by name.
        secrets: the values of the keys of Secrets.
        files: the file of this machine in place of one of the image.
        addresses: the address of this machine in place of one of the cluster.
    """

    volumes: Mapping[str, Path]
    secrets: Mapping[str, str]
    files: Mapping[str, str]
    addresses: Mapping[str, str]

    def start(
        self, container: Manifest, objects: list[Manifest], *more: str, **streams: int
    ) -> subprocess.Popen[str]:
        """Start a container of the image of lawtags.

        Args:
            container: as its manifest describes it.
            objects: with the ConfigMaps that it names.
            more: further arguments.
            streams: ``stdout`` and ``stderr``.
        """
        command = container.get("command", ["lawtags"])
        environment = {"PATH": f"{BIN}{os.pathsep}/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        for each in container.get("env", []):
            if "valueFrom" in each and (value := self.secrets.get(each["valueFrom"]["secretKeyRef"]["key"])):
                environment[each["name"]] = value
        environment |= {
            name: self._here(value, container)
            for name, value in environment_of(container, objects).items()
            if value is not None
        }
        words = [re.sub(r"\$\((\w+)\)", lambda m: environment[m[1]], word) for word in container["args"]]
        return subprocess.Popen(
            [BIN / command[0], *command[1:], *(self._here(word, container) for word in words), *more],
            # The image's working directory.
            cwd=self._here("/data", container),
            env=environment,
            text=True,
            **streams,  # type: ignore[call-overload]
        )

    def _here(self, text: str, container: Manifest) -> str:
        folders = {
            mount["mountPath"]: str(self.volumes[mount["name"]]) for mount in container["volumeMounts"]
        }
        named = dict(self.files) | dict(self.addresses) | folders
        # At once, because what stands here may contain what stands there.
        words = "|".join(re.escape(each) for each in sorted(named, key=len, reverse=True))
        return re.sub(rf"(?<!\w)({words})(?!\w)", lambda found: named[found[1]], text)
