package standin

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"
)

// Config is a stand-in's configuration as a Caddy module.
type Config struct {
	// It is not looked at. A test can look for it where it should not be.
	Token string `json:"token,omitempty"`

	info caddy.ModuleInfo
}

// CaddyModule returns the Caddy module information.
func (c Config) CaddyModule() caddy.ModuleInfo { return c.info }

// Provider returns the provider. It implements those libdns interfaces that
// the character has, and no other.
func (z *Zones) Provider() caddy.Module { return z.provider(caddy.ModuleInfo{}) }

var registered atomic.Int64

// Register makes the provider known as the module dns.providers.NAME, and
// returns that name. Each call adds a module that stays until the process
// ends.
func (z *Zones) Register() string {
	name := fmt.Sprintf("standin_%d", registered.Add(1))
	info := caddy.ModuleInfo{ID: caddy.ModuleID("dns.providers." + name)}
	info.New = func() caddy.Module { return z.provider(info) }
	caddy.RegisterModule(z.provider(info))
	return name
}

// The interfaces have names of their own so that their embedding is not seen
// by encoding/json.
type (
	getter   interface{ libdns.RecordGetter }
	setter   interface{ libdns.RecordSetter }
	appender interface{ libdns.RecordAppender }
	deleter  interface{ libdns.RecordDeleter }
	lister   interface{ libdns.ZoneLister }
)

const (
	hasGet = 1 << iota
	hasSet
	hasAppend
	hasDelete
	hasList
)

func (z *Zones) provider(info caddy.ModuleInfo) caddy.Module {
	config, m, has := Config{info: info}, methods{z}, 0
	for bit, present := range map[int]bool{
		hasGet:    !z.character.NoGet,
		hasSet:    !z.character.NoSet,
		hasAppend: !z.character.NoAppend,
		hasDelete: !z.character.NoDelete,
		hasList:   z.character.ListsZones,
	} {
		if present {
			has |= bit
		}
	}
	// A type lacks a method only if it is another type.
	switch has {
	case 0:
		return &struct {
			Config
		}{config}
	case hasGet:
		return &struct {
			Config
			getter
		}{config, m}
	case hasSet:
		return &struct {
			Config
			setter
		}{config, m}
	case hasGet | hasSet:
		return &struct {
			Config
			getter
			setter
		}{config, m, m}
	case hasAppend:
		return &struct {
			Config
			appender
		}{config, m}
	case hasGet | hasAppend:
		return &struct {
			Config
			getter
			appender
		}{config, m, m}
	case hasSet | hasAppend:
		return &struct {
			Config
			setter
			appender
		}{config, m, m}
	case hasGet | hasSet | hasAppend:
		return &struct {
			Config
			getter
			setter
			appender
		}{config, m, m, m}
	case hasDelete:
		return &struct {
			Config
			deleter
		}{config, m}
	case hasGet | hasDelete:
		return &struct {
			Config
			getter
			deleter
		}{config, m, m}
	case hasSet | hasDelete:
		return &struct {
			Config
			setter
			deleter
		}{config, m, m}
	case hasGet | hasSet | hasDelete:
		return &struct {
			Config
			getter
			setter
			deleter
		}{config, m, m, m}
	case hasAppend | hasDelete:
		return &struct {
			Config
			appender
			deleter
		}{config, m, m}
	case hasGet | hasAppend | hasDelete:
		return &struct {
			Config
			getter
			appender
			deleter
		}{config, m, m, m}
	case hasSet | hasAppend | hasDelete:
		return &struct {
			Config
			setter
			appender
			deleter
		}{config, m, m, m}
	case hasGet | hasSet | hasAppend | hasDelete:
		return &struct {
			Config
			getter
			setter
			appender
			deleter
		}{config, m, m, m, m}
	case hasList:
		return &struct {
			Config
			lister
		}{config, m}
	case hasGet | hasList:
		return &struct {
			Config
			getter
			lister
		}{config, m, m}
	case hasSet | hasList:
		return &struct {
			Config
			setter
			lister
		}{config, m, m}
	case hasGet | hasSet | hasList:
		return &struct {
			Config
			getter
			setter
			lister
		}{config, m, m, m}
	case hasAppend | hasList:
		return &struct {
			Config
			appender
			lister
		}{config, m, m}
	case hasGet | hasAppend | hasList:
		return &struct {
			Config
			getter
			appender
			lister
		}{config, m, m, m}
	case hasSet | hasAppend | hasList:
		return &struct {
			Config
			setter
			appender
			lister
		}{config, m, m, m}
	case hasGet | hasSet | hasAppend | hasList:
		return &struct {
			Config
			getter
			setter
			appender
			lister
		}{config, m, m, m, m}
	case hasDelete | hasList:
		return &struct {
			Config
			deleter
			lister
		}{config, m, m}
	case hasGet | hasDelete | hasList:
		return &struct {
			Config
			getter
			deleter
			lister
		}{config, m, m, m}
	case hasSet | hasDelete | hasList:
		return &struct {
			Config
			setter
			deleter
			lister
		}{config, m, m, m}
	case hasGet | hasSet | hasDelete | hasList:
		return &struct {
			Config
			getter
			setter
			deleter
			lister
		}{config, m, m, m, m}
	case hasAppend | hasDelete | hasList:
		return &struct {
			Config
			appender
			deleter
			lister
		}{config, m, m, m}
	case hasGet | hasAppend | hasDelete | hasList:
		return &struct {
			Config
			getter
			appender
			deleter
			lister
		}{config, m, m, m, m}
	case hasSet | hasAppend | hasDelete | hasList:
		return &struct {
			Config
			setter
			appender
			deleter
			lister
		}{config, m, m, m, m}
	case hasGet | hasSet | hasAppend | hasDelete | hasList:
		return &struct {
			Config
			getter
			setter
			appender
			deleter
			lister
		}{config, m, m, m, m, m}
	}
	panic("unreachable")
}

type methods struct{ z *Zones }

func (m methods) GetRecords(ctx context.Context, zone string) ([]libdns.Record, error) {
	return m.z.getRecords(ctx, zone)
}

func (m methods) SetRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return m.z.write(ctx, Set, zone, records, m.z.setEdits)
}

func (m methods) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return m.z.write(ctx, Append, zone, records, m.z.appendEdits)
}

func (m methods) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return m.z.write(ctx, Delete, zone, records, m.z.deleteEdits)
}

func (m methods) ListZones(ctx context.Context) ([]libdns.Zone, error) { return m.z.listZones(ctx) }
