"""A tree with hummingbot's import paths and the two steps of its start that read secrets.

`Security.login` verifies a password by a word, and decrypts each secret field of each file in
conf/connectors. What it has decrypted is a line of the log.
"""

FILES = {
    "bin/__init__.py": "",
    "bin/path_util.py": "",
    "bin/hummingbot.py": "raise AssertionError('this is not the package')",
    "bin/hummingbot_quickstart.py": """
import argparse
import asyncio
import os
import signal

import path_util  # noqa: F401 - hummingbot's own start imports it

from hummingbot.client.config.security import login
from hummingbot.client.hummingbot_application import HummingbotApplication


class CmdlineParser(argparse.ArgumentParser):
    def __init__(self):
        super().__init__()
        self.add_argument("--config-file-name", "-f")
        self.add_argument("--v2", dest="v2_conf")
        self.add_argument("--config-password", "-p")
        self.add_argument("--headless", type=bool, nargs="?", const=True, default=None)


async def quick_start(args, secrets_manager):
    if not login(secrets_manager, args.v2_conf):
        return
    if args.config_file_name == "done":
        return
    if args.config_file_name == "broken":
        raise SystemExit(3)
    if args.config_file_name == "Broken":
        raise SystemExit("A sentence.")
    if args.config_file_name != "early":
        HummingbotApplication.main_application(args)
    if args.config_file_name in ("term", "early", "stuck"):
        os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(600)
""",
    "hummingbot/__init__.py": "",
    "hummingbot/client/__init__.py": "",
    "hummingbot/client/hummingbot_application.py": """
class HummingbotApplication:
    _main_app = None

    @classmethod
    def main_application(cls, args):
        cls._main_app = cls()
        cls._main_app.args = args

    async def stop_loop(self):
        if self.args.config_file_name == "stuck":
            raise RuntimeError("s-1")
        with open(self.args.v2_conf, "a") as file:
            file.write("stopped\\n")
""",
    "hummingbot/client/config/__init__.py": "",
    "hummingbot/client/config/config_crypt.py": """
from abc import ABC, abstractmethod


class BaseSecretsManager(ABC):
    def __init__(self, password: str):
        self._password = password

    @abstractmethod
    def encrypt_secret_value(self, attr: str, value: str):
        pass

    @abstractmethod
    def decrypt_secret_value(self, attr: str, value: str) -> str:
        pass
""",
    "hummingbot/client/config/security.py": """
import json
from pathlib import Path

CONF = Path(__file__).parents[3] / "conf"
WORD = "HummingBot"


def login(manager, log):
    word = manager.decrypt_secret_value(WORD, (CONF / ".password_verification").read_text())
    if word != WORD:
        return False
    secrets = []
    for path in sorted((CONF / "connectors").glob("[!_.]*")):
        for line in path.read_text().splitlines():
            if not line.startswith(("#", "connector:")) and "sub_domain" not in line:
                attr, value = line.split(": ", 1)
                value = json.loads(value) if value.startswith('"') else value
                secrets.append(f"{attr}={manager.decrypt_secret_value(attr=attr, value=value)}")
    with open(log, "a") as file:
        file.write(" ".join(secrets) + "\\n")
    return True
""",
}


def plant(directory):
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory
