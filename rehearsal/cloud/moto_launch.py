"""Starts moto's server with a few changes, for the rehearsal.

Step Functions. The engine signs every call with the key `ak`, whichever state machine it runs, so that nobody could
check the call against the state machine's role: here it signs with `ENGINE-<name of the state machine>`. It makes a new
boto3 client for each call, which takes longer than the call: here a client is kept for each service, region and
machine. CloudFormation creates state machines where the engine does not find them. And a second execution of a machine
fails, because the machine is copied deeply, with the threads of the first one.

EventBridge. A rule without a pattern (a schedule) gets every event and fails on its Lambda target; a disabled rule gets
events too; the envelope lacks `account`.

Systems Manager. A document's content that CloudFormation gives as an object (as the template must have it) is kept as
one, and every look at the document fails: here it is kept as text.

Written against moto 5.2.1 (requirements.txt pins it); a moto without these names fails at the start, not later.
"""

import copy
import importlib
import json
import os
import pkgutil
import sys
import threading

import boto3
import moto.stepfunctions.models as machines
import moto.stepfunctions.parser.asl.component as components
import moto.stepfunctions.parser.models as engine
from botocore.config import Config
from moto.events.models import Rule
from moto.events.utils import EventTemplateParser
from moto.server import main
from moto.settings import moto_server_port
from moto.ssm.models import Document
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


def copy_machines_without_their_executions():
    def without_executions(self, _memo):
        clone = copy.copy(self)
        clone.executions = []
        return clone

    machines.StateMachine.__deepcopy__ = without_executions


def create_machines_where_the_engine_looks():
    assert hasattr(machines, "stepfunctions_backends")
    machines.stepfunctions_backends = engine.stepfunctions_parser_backends


def match_rules_as_eventbridge_does():
    send = Rule.send_to_targets

    def send_what_matches(self, original_event, transform_input=True):
        if self.state == "ENABLED" and self.event_pattern.get_pattern():
            send(self, original_event, transform_input)

    Rule.send_to_targets = send_what_matches
    template = EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE
    assert '"account"' not in template
    EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = template.replace(
        '"version": "0",', '"version": "0", "account": "<account>",'
    )


def keep_documents_as_text():
    create = Document.__init__

    def create_from_text(self, *args, content, **others):
        text = json.dumps(content) if isinstance(content, dict) else content
        create(self, *args, content=text, **others)

    Document.__init__ = create_from_text


def end_with_our_parent():
    """Standard input is a pipe that nobody writes to: it ends when the rehearsal does, however that ends."""

    def wait():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    end_with_our_parent()
    name_threads_after_machines()
    replace_client_factory()
    copy_machines_without_their_executions()
    create_machines_where_the_engine_looks()
    match_rules_as_eventbridge_does()
    keep_documents_as_text()
    main(sys.argv[1:])
