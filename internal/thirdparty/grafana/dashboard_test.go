// Package grafana checks the dashboard of the examples against Grafana's
// schema, as Grafana's SDK for Go has it.
package grafana

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// check reads a dashboard as the schema has it: no field is missing or too
// much, not in the options of a kind of panel or of a query either.
func check(text []byte) error {
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard
	if err := somethingOf(d.UnmarshalJSONStrict(text)); err != nil {
		return err
	}
	// The strict reader drops panels that it has found to be right.
	d = dashboard.Dashboard{}
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if err := d.Validate(); err != nil {
		return err
	}
	// Of these the SDK knows the schema, and does not apply it.
	var shown struct {
		Panels []struct {
			Title       string
			FieldConfig json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		return err
	}
	for _, p := range shown.Panels {
		if p.FieldConfig == nil {
			continue
		}
		var fields dashboard.FieldConfigSource
		if err := somethingOf(fields.UnmarshalJSONStrict(p.FieldConfig)); err != nil {
			return fmt.Errorf("panel %s: fieldConfig: %w", p.Title, err)
		}
		if err := fields.Validate(); err != nil {
			return fmt.Errorf("panel %s: fieldConfig: %w", p.Title, err)
		}
	}
	// Nor that of a grid of 24 columns.
	taken := make(map[[2]uint32]string)
	for _, p := range d.Panels {
		var place *dashboard.GridPos
		var title string
		if p.RowPanel != nil {
			place, title = p.RowPanel.GridPos, *p.RowPanel.Title
		} else {
			place, title = p.Panel.GridPos, *p.Panel.Title
		}
		if place.X+place.W > 24 {
			return fmt.Errorf("panel %s leaves the grid", title)
		}
		for x := place.X; x < place.X+place.W; x++ {
			for y := place.Y; y < place.Y+place.H; y++ {
				if other, ok := taken[[2]uint32{x, y}]; ok {
					return fmt.Errorf("panels %s and %s overlap", other, title)
				}
				taken[[2]uint32{x, y}] = title
			}
		}
	}
	return nil
}

// somethingOf returns nil also for the list without errors that the SDK
// returns.
func somethingOf(err error) error {
	if list := (cog.BuildErrors{}); errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}

func TestDashboard(t *testing.T) {
	file, err := os.ReadFile("../../../examples/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	if err := check(file); err != nil {
		t.Error(err)
	}
	for where, change := range map[string][2]string{
		"the dashboard":         {`"refresh": "1m"`, `"refresh": 60`},
		"a field too much":      {`"refresh": "1m"`, `"refersh": "1m"`},
		"a panel":               {`"gridPos": {`, `"gridpos": {`},
		"a place":               {`"w": 8`, `"w": 25`},
		"a place that is taken": {`"x": 8`, `"x": 7`},
		"a query":               {`"legendFormat": "`, `"legend": "`},
		"options of a kind":     {`"colorMode": "`, `"colourMode": "`},
		"a field's defaults":    {`"unit": "s"`, `"units": "s"`},
		"a variable":            {`"includeAll": true`, `"includeAll": "yes"`},
		"a transformation":      {`"id": "organize",`, ``},
		"a mapping's contents":  {`"color": "red"`, `"color": 1`},
	} {
		// The SDK should read on to the end.
		for _, at := range []int{strings.Index(text, change[0]), strings.LastIndex(text, change[0])} {
			if at < 0 {
				t.Fatalf("%s: the dashboard has no %s", where, change[0])
			}
			changed := text[:at] + change[1] + text[at+len(change[0]):]
			if err := check([]byte(changed)); err == nil {
				t.Errorf("%s: %s at %d is not seen", where, change[1], at)
			}
		}
	}
}
