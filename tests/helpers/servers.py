"""Real servers for tests: PostgreSQL as Debian packages it, and `mlflow server`."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from parts import absent, needs

PASSWORD = "correct-horse-battery"  # nothing may ever print it


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    """Until an MLflow server, which may log to a file, answers."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            said = log.read_text()[-2000:] if log else address
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.3)


def need_postgres() -> None:
    """Go on only where PostgreSQL and its driver are installed."""
    if postgres_programs() is None:
        absent("PostgreSQL is not installed (apt-get install postgresql)")
    needs("postgres")


def postgres_programs() -> Path | None:
    """The directory of initdb and postgres, newest version first."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    on_path = shutil.which("postgres")
    return Path(on_path).parent if on_path else None


class Postgres:
    """A PostgreSQL of its own, which demands a password."""

    def __init__(self) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="memreg-postgres-"))
        self._programs = postgres_programs()
        # PostgreSQL refuses to run as root
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(self._directory, "postgres", "postgres")
        secret = self._directory / "password"
        secret.write_text(PASSWORD)
        if self._user:
            shutil.chown(secret, "postgres", "postgres")
        self._data = self._directory / "data"
        self._run(
            *("initdb", "-D", self._data, "-U", "memreg", "-A", "scram-sha-256"),
            *("--pwfile", secret, "-E", "UTF8", "--locale", "C.UTF-8", "-N"),
        )
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self._directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self._directory / "log"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", how, "stop")

    def uri(self, name: str) -> str:
        return f"postgresql://memreg:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def database(self, name: str) -> str:
        """A fresh database; its tracking URI."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.uri(name)

    def sql(self, statement: str, database: str = "postgres") -> None:
        self._run(
            *("psql", "-q", "-h", self._directory, "-p", str(self.port), "-U", "memreg"),
            *("-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement),
        )

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            **self._user,
        )


def need_mariadb() -> None:
    """Go on only where MariaDB and its driver are installed."""
    if mariadb_program() is None:
        absent("MariaDB is not installed (apt-get install mariadb-server)")
    needs("mysql")


def mariadb_program() -> str | None:
    return shutil.which("mariadbd") or shutil.which("/usr/sbin/mariadbd")


class MariaDb:
    """A MariaDB of its own, for what is said of MySQL: it speaks its protocol and dialect."""

    def __init__(self) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="memreg-mariadb-"))
        self._socket = self._directory / "socket"
        user = ["--user=mysql"] if os.getuid() == 0 else []
        if user:
            shutil.chown(self._directory, "mysql", "mysql")
        data = f"--datadir={self._directory}/data"
        normal = "--auth-root-authentication-method=normal"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", *user, data, normal], check=True, capture_output=True
        )
        self._log = (self._directory / "log").open("wb")
        program = [mariadb_program() or "mariadbd", "--no-defaults", *user, data, f"--socket={self._socket}"]
        options = [f"--port={self.port}", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]
        self._process = subprocess.Popen([*program, *options], stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 300
        while self._sql("SELECT 1"):
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.3)
        assert not self._sql(f"CREATE USER memreg@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        assert not self._sql("GRANT ALL ON *.* TO memreg@'127.0.0.1'")

    def database(self, name: str) -> str:
        """A fresh database; its tracking URI."""
        assert not self._sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://memreg:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def remove(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _sql(self, statement: str) -> int:
        client = ["mariadb", "--no-defaults", "-S", str(self._socket), "-u", "root", "-e", statement]
        return subprocess.run(client, capture_output=True).returncode


class MlflowServer:
    """`mlflow server` on a database, with proxied artifacts and MLflow's own authentication."""

    def __init__(self, directory: Path, backend: str) -> None:
        self.directory, self.backend, self.port = directory, backend, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "auth.ini").write_text(
            "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
            f"database_uri = sqlite:///{directory}/auth.db\nadmin_username = admin\n"
            f"admin_password = {PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n"
        )
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }

    def start(self) -> None:
        environment = os.environ | {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.directory / "auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "static",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        self._log = (self.directory / "server.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
                *("--backend-store-uri", self.backend, "--serve-artifacts"),
                *("--artifacts-destination", str(self.directory / "artifacts")),
                *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            ],
            cwd=self.directory,
            env=environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        wait_for(self.uri, self._process, self.directory / "server.log")

    def stop(self) -> None:
        """As a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
