"""
cache_server.py: servers of their own, for laws whose subject is a setting of the server, and for those about level 2.
"""
import os
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager

import psycopg2

import cache_model
import database


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Server(database.Session):
    """Made by initdb in a temporary directory, preloads apibase, has the given settings; each call of run() is a transaction."""

    def __init__(self, directory, settings):
        self.data, self.directory, self.port = os.path.join(directory, 'data'), directory, free_port()
        self.command('initdb', '-D', self.data, '-A', 'trust', '-U', 'postgres', '-N', '-E', 'UTF8', '--locale=C')
        with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='utf-8') as conf:
            for name, value in dict(settings, port=self.port, listen_addresses='127.0.0.1', unix_socket_directories='', fsync='off',
                                    shared_preload_libraries='apibase').items():
                conf.write("%s = '%s'\n" % (name, value))

    def command(self, *words):
        result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, universal_newlines=True)
        assert result.returncode == 0, (words, result.stdout)

    def start(self):
        try:
            self.command('pg_ctl', '-D', self.data, '-l', os.path.join(self.directory, 'log'), '-w', 'start')
        except AssertionError:
            with open(os.path.join(self.directory, 'log'), encoding='utf-8') as log:
                raise AssertionError(log.read())
        self.connection = self.connect()
        self.run('CREATE EXTENSION apibase')
        cache_model.install(self)

    def stop(self):
        self.command('pg_ctl', '-D', self.data, '-m', 'immediate', '-w', 'stop')

    def connect(self):
        connection = psycopg2.connect(host='127.0.0.1', port=self.port, user='postgres', dbname='postgres')
        connection.autocommit = True
        return connection


def settle(made):
    """Wait until the worker is connected to Redis and has sent all: until then level 2 keeps nothing of what was changed."""
    for attempt in range(1800):
        if made.value("SELECT state = 'ready' AND waiting_bytes = 0 FROM apibase.cache_redis_worker"):
            return
        time.sleep(0.1)
    raise AssertionError('the worker is not ready: %s' % made.run('SELECT * FROM apibase.cache_redis_worker'))


@contextmanager
def redis():
    """The URL of a running Redis; gone at the end."""
    with tempfile.TemporaryDirectory(prefix='apibase_property_') as directory:
        port = free_port()
        with subprocess.Popen(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory],
                              stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
            try:
                for attempt in range(100):
                    with socket.socket() as probe:
                        if probe.connect_ex(('127.0.0.1', port)) == 0:
                            break
                    assert process.poll() is None and attempt < 99, 'redis-server does not run'
                    time.sleep(0.1)
                yield 'redis://127.0.0.1:%d' % port
            finally:
                process.terminate()


@contextmanager
def server(**settings):
    """A running server; gone at the end."""
    with tempfile.TemporaryDirectory(prefix='apibase_property_') as directory:
        made = Server(directory, {'apibase.' + name: value for name, value in settings.items()})
        made.start()
        try:
            yield made
        finally:
            if made.connection is not None:
                made.connection.close()
            made.stop()
