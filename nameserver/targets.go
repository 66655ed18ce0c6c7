package nameserver

import (
	"sync"

	"github.com/libdns/libdns"
	"go.uber.org/zap"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// warnOfTarget warns of a name in the data of a record that is relative to the
// zone and has a dot: most likely its last dot was forgotten.
func warnOfTarget(logger *zap.Logger, origin, name, typ, data string) {
	becomes, dotted := zonedata.RelativeTarget(origin, typ, data)
	if !dotted {
		return
	}
	logger.Warn("a name in the data of a record is relative to the zone; if it was meant to be whole, write a dot at its end",
		zap.String("zone", origin), zap.String("name", name), zap.String("type", typ), zap.String("data", data), zap.String("becomes", becomes))
}

// warnOfTargets warns of records that came through the provider, of each once.
func warnOfTargets(logger *zap.Logger, warned *sync.Map, origin string, recs []libdns.Record) {
	for _, rec := range recs {
		rr := rec.RR()
		key := rr.Name + " " + rr.Type + " " + rr.Data
		if _, dotted := zonedata.RelativeTarget(origin, rr.Type, rr.Data); !dotted {
			continue
		}
		if _, was := warned.LoadOrStore(origin+" "+key, true); !was {
			warnOfTarget(logger, origin, rr.Name, rr.Type, rr.Data)
		}
	}
}
