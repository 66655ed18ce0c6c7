package conf

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
)

// GlobalProvider returns the configuration of the DNS provider that Caddy's
// global option `dns` names (JSON: `dns` of the tls app), or nil if there is
// none.
func GlobalProvider(ctx caddy.Context) (json.RawMessage, error) {
	app, err := ctx.AppIfConfigured("tls")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the global option dns: %w", err)
	}
	tls, ok := app.(*caddytls.TLS)
	if !ok {
		return nil, nil
	}
	// Caddy drops the JSON once the module is loaded, and keeps the module in
	// a field that it does not export.
	field := reflect.ValueOf(tls).Elem().FieldByName("dns")
	if !field.IsValid() || field.Type() != reflect.TypeFor[any]() || field.IsNil() {
		return nil, nil
	}
	module, ok := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem().Interface().(caddy.Module)
	if !ok {
		return nil, nil
	}
	var warnings []caddyconfig.Warning
	raw := caddyconfig.JSONModuleObject(module, "name", module.CaddyModule().ID.Name(), &warnings)
	if len(warnings) > 0 {
		return nil, fmt.Errorf("the global option dns: %s", warnings[0].Message)
	}
	return raw, nil
}
