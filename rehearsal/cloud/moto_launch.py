"""Starts moto's server with two changes to its Step Functions engine, for the rehearsal.

The engine signs every call with the key `ak`, whichever state machine it runs, so that nobody could check the call
against the state machine's role. Here it signs with `ENGINE-<name of the state machine>`. And it makes a new boto3
client for each call, which takes longer than the call: here a client is kept for each service, region and machine.

Written against moto 5.2.1 (requirements.txt pins it); a moto without these names fails at the start, not later.
"""

import importlib
import pkgutil
import sys
import threading

import boto3
import moto.stepfunctions.parser.asl.component as components
from botocore.config import Config
from moto.server import main
from moto.settings import moto_server_port
from moto.stepfunctions.parser.asl.utils import boto_client
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

ENGINE_KEY_PREFIX = "ENGINE-"
ENGINE_TIMEOUT_SECONDS = 900  # as long as a Lambda function may run

_clients = {}
_clients_lock = threading.Lock()


def machine_of_this_thread():
    return getattr(threading.current_thread(), "rejoin_machine", "unknown")


def kept_client(region, service, state_credentials=None):
    key = (region, service, machine_of_this_thread())
    with _clients_lock:  # boto3 clients may be shared by threads, making one may not
        if key not in _clients:
            _clients[key] = boto3.client(
                service_name=service,
                region_name=region,
                aws_access_key_id=ENGINE_KEY_PREFIX + key[2],
                aws_secret_access_key="engine",
                endpoint_url=f"http://127.0.0.1:{moto_server_port()}",
                config=Config(
                    parameter_validation=False,
                    retries={"max_attempts": 0, "total_max_attempts": 1},
                    connect_timeout=ENGINE_TIMEOUT_SECONDS,
                    read_timeout=ENGINE_TIMEOUT_SECONDS,
                    max_pool_connections=50,
                ),
            )
        return _clients[key]


def replace_client_factory():
    """The name is imported into each service's module, so it is replaced in each."""
    original = boto_client.boto_client_for
    for module in pkgutil.walk_packages(
        components.__path__, components.__name__ + "."
    ):
        loaded = importlib.import_module(module.name)
        if getattr(loaded, "boto_client_for", None) is original:
            loaded.boto_client_for = kept_client


def name_threads_after_machines():
    """An execution runs in a thread and starts others (a task with a timeout, a branch): each belongs to its machine."""
    start = threading.Thread.start

    def start_as_parent(self):
        if not hasattr(self, "rejoin_machine"):
            self.rejoin_machine = machine_of_this_thread()
        start(self)

    threading.Thread.start = start_as_parent
    run = ExecutionWorker._execution_logic

    def run_as_machine(self):
        threading.current_thread().rejoin_machine = (
            self._evaluation_details.state_machine_details.name
        )
        run(self)

    ExecutionWorker._execution_logic = run_as_machine


if __name__ == "__main__":
    name_threads_after_machines()
    replace_client_factory()
    main(sys.argv[1:])
