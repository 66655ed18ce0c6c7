package dynamicdns

import (
	"maps"
	"slices"
)

// OptionNames are the options of a dynamic_dns block in the Caddyfile.
var OptionNames = slices.Sorted(maps.Keys(blockOptions))
