package status

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
)

// TestNothingControlsTheTerminal: whatever is in the texts that a provider or
// an IP source gave.
func TestNothingControlsTheTerminal(t *testing.T) {
	const evil = "evil\033[2J\033[32m\r\a\b\x7f\u009b31m\tend"
	status, plan, diagnosis := new(Status), new(Plan), new(Diagnosis)
	for _, v := range []any{status, plan, diagnosis} {
		fill(reflect.ValueOf(v).Elem(), evil)
	}
	for _, color := range []bool{false, true} {
		p := &printer{color: color}
		p.status(status)
		status.Zones[0].LastFailure.Error = evil + "x"
		p.status(status)
		p.plan(plan)
		plan.Zones[0].Error = ""
		p.plan(plan)
		p.diagnosis(diagnosis)
		text := p.text.String()
		if n := strings.Count(text, "evil"); n < 20 {
			t.Errorf("only %d of the texts in\n%s", n, text)
		}
		if color {
			for _, c := range []string{green, yellow, red, "0"} {
				text = strings.ReplaceAll(text, "\033["+c+"m", "")
			}
		}
		for _, r := range text {
			if unicode.IsControl(r) && r != '\n' {
				t.Fatalf("%q in %q", r, text)
			}
		}
	}
}

// fill puts the text into every field that may have it, and one element into
// every list.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1e9, 0)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text)
			}
		}
	case reflect.Bool:
		v.SetBool(true)
	}
}
