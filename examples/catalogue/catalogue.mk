# catalogue.mk: the example that `make run` starts. See examples/catalogue/README.md.
#
#   make run                  installs what is missing, builds, starts a private cluster, loads, shows a tour
#   make run PORT=6000        on this port (default 54321; PostgREST on HTTP_PORT, default PORT + 1)
#   make run PG=17            on this PostgreSQL, installed from packages (default: the one of the Debian release)
#   make run PG_CONFIG=path   on this PostgreSQL; nothing is installed with apt then
#   make stop                 stops what `make run` started

.PHONY: run stop
run:
	@examples/catalogue/run $(if $(PORT),--port '$(PORT)') $(if $(HTTP_PORT),--http-port '$(HTTP_PORT)') $(if \
	  $(PG),--pg '$(PG)') $(if $(filter command environment,$(origin PG_CONFIG)),--pg-config '$(PG_CONFIG)')

stop:
	@examples/catalogue/stop
