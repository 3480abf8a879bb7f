"""botocore's data files, read once for all sessions of a process and without detours.

A first client costs little but this: botocore looks for each kind of file in the folders of all services, and makes an
``OrderedDict`` of each of some twenty thousand objects. What is found and what is in it is the same here.
"""

from __future__ import annotations

import gzip
import json
import os
from functools import lru_cache
from typing import Any

import boto3
from botocore.exceptions import DataNotFoundError
from botocore.loaders import ExtrasProcessor, JSONFileLoader, Loader

__all__ = ["model_loader"]


class _PlainFiles(JSONFileLoader):
    """Objects as ordinary dicts, which keep their order too."""

    def load_file(self, file_path: str) -> Any:
        """The content of a file, or ``None`` where there is none.

        :param file_path: without its extension.
        """
        for extension, open_file in ((".json", open), (".json.gz", gzip.open)):
            try:
                with open_file(file_path + extension, "rb") as file:
                    return json.load(file)
            except FileNotFoundError:
                continue
        return None


class _Models(Loader):
    """Finds a service's model in the folders of that service."""

    FILE_LOADER_CLASS = _PlainFiles

    def __init__(self, extra_search_paths: list[str]) -> None:
        super().__init__(extra_search_paths)
        self._models: dict[tuple[str, str, str | None], Any] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """A model with its extras.

        :param type_name: such as ``service-2``.
        :param api_version: the latest where it is left out.
        :raises botocore.exceptions.UnknownServiceError: there is no such service.
        :raises botocore.exceptions.DataNotFoundError: it has no such model.
        """
        asked = service_name, type_name, api_version
        if asked not in self._models:
            try:
                version = api_version or self.determine_latest_version(service_name, type_name)
                path = os.path.join(service_name, version, type_name)
                model = self.load_data(path)
            except DataNotFoundError:
                return super().load_service_model(service_name, type_name, api_version)  # says which services there are
            ExtrasProcessor().process(model, self._extras(path))
            self._models[asked] = model
        return self._models[asked]

    def _extras(self, path: str) -> list[Any]:
        found = []
        for extras_type in self.extras_types:
            try:
                found.append(self.load_data(f"{path}.{extras_type}-extras"))
            except DataNotFoundError:
                continue
        return found


@lru_cache(maxsize=4)
def _loader_of(data_path: str | None) -> Loader:
    paths = [os.path.expanduser(os.path.expandvars(path)) for path in data_path.split(os.pathsep)] if data_path else []
    loader = _Models(paths)
    loader.search_paths.append(os.path.join(os.path.dirname(boto3.__file__), "data"))
    return loader


def model_loader(data_path: str | None) -> Loader:
    """What reads botocore's models, and keeps them.

    :param data_path: of the configuration (``AWS_DATA_PATH``).
    """
    loader = _loader_of(data_path)
    # each boto3 session that is made of ours adds its folder once more
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)
    return loader
