"""gunicorn for Django REST framework: as many workers and threads as our application has."""

raw_env = ["DJANGO_SETTINGS_MODULE=bench.peers.drf_settings"]
workers, threads = 2, 16
worker_class = "gthread"
keepalive = 5
control_socket_disable = True
