#!/bin/sh
# Configures a running Caddy through its admin API. Each request takes effect
# at once; one that is refused changes nothing, and its answer says why.
set -eu
cd "$(dirname "$0")"
admin="${CADDY_ADMIN:-localhost:2019}"

# The whole configuration:
curl -fsS "http://$admin/load" \
	-H 'Content-Type: application/json' \
	--data-binary @config.json

# Other names of one zone:
curl -fsS -X PATCH "http://$admin/config/apps/dynamic_dns/domains/example.com" \
	-H 'Content-Type: application/json' \
	--data-binary '["@", "www", "blog"]'

# One name more:
curl -fsS -X POST "http://$admin/config/apps/dynamic_dns/domains/example.com" \
	-H 'Content-Type: application/json' \
	--data-binary '"shop"'

# What is configured now; the key stays a placeholder:
curl -fsS "http://$admin/config/apps/dynamic_dns"
