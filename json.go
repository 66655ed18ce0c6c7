package dynamicdns

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/advice"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/places"
)

// UnmarshalJSON is as strict as Caddy is with the fields of a module, and
// names the place of what is wrong: a field's name alone does not tell in
// which of several entries it is.
func (a *App) UnmarshalJSON(data []byte) error {
	a.written = places.Recall(data)
	return decodeStruct(data, "", reflect.ValueOf(a).Elem())
}

// decode sets v, which can be set, to the JSON value at the path.
func decode(data json.RawMessage, path string, v reflect.Value) error {
	if string(data) == "null" {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return decode(data, path, v.Elem())
	}
	if _, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		return decodeValue(data, path, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return decodeStruct(data, path, v)
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(data, &items) != nil {
			return wrongKind(data, path, "a list")
		}
		list := reflect.MakeSlice(v.Type(), len(items), len(items))
		for i, item := range items {
			if err := decode(item, fmt.Sprintf("%s[%d]", path, i), list.Index(i)); err != nil {
				return err
			}
		}
		v.Set(list)
		return nil
	case reflect.Map:
		var members map[string]json.RawMessage
		if json.Unmarshal(data, &members) != nil {
			return wrongKind(data, path, "an object")
		}
		m := reflect.MakeMapWithSize(v.Type(), len(members))
		for _, key := range slices.Sorted(maps.Keys(members)) {
			value := reflect.New(v.Type().Elem()).Elem()
			if err := decode(members[key], fmt.Sprintf("%s[%q]", path, key), value); err != nil {
				return err
			}
			m.SetMapIndex(reflect.ValueOf(key), value)
		}
		v.Set(m)
		return nil
	}
	return decodeValue(data, path, v)
}

func decodeStruct(data json.RawMessage, path string, v reflect.Value) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return wrongKind(data, path, "an object")
	}
	fields := make(map[string]reflect.StructField)
	for _, field := range reflect.VisibleFields(v.Type()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			fields[name] = field
		}
	}
	if path != "" {
		path += "."
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, ok := fields[name]
		if !ok {
			return fmt.Errorf("%s%s: unknown field%s", path, name, advice.Member(name, slices.Collect(maps.Keys(fields))))
		}
		if err := decode(members[name], path+name, v.FieldByIndex(field.Index)); err != nil {
			return err
		}
	}
	return nil
}

// decodeValue sets what encoding/json knows how to set.
func decodeValue(data json.RawMessage, path string, v reflect.Value) error {
	if v.Type() == reflect.TypeFor[json.RawMessage]() && data[0] != '{' {
		return wrongKind(data, path, "an object")
	}
	if ns, err := strconv.ParseInt(string(data), 10, 64); err == nil && v.Type() == reflect.TypeFor[caddy.Duration]() && 0 < ns && ns < int64(time.Millisecond) {
		return fmt.Errorf("%s: the number %d means %d nanoseconds; write `%q: \"%ds\"`", path, ns, ns, path[strings.LastIndex(path, ".")+1:], ns)
	}
	err := json.Unmarshal(data, v.Addr().Interface())
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		expected := map[reflect.Kind]string{reflect.Bool: "true or false", reflect.String: "a string", reflect.Int: "a whole number"}[v.Kind()]
		if expected == "" {
			expected = `a duration such as "5m"`
		}
		return wrongKind(data, path, expected)
	}
	if err != nil && v.Type() == reflect.TypeFor[caddy.Duration]() {
		return fmt.Errorf("%s: %w; write a duration, as in `%q: \"5m\"`", path, err, path[strings.LastIndex(path, ".")+1:])
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func wrongKind(data json.RawMessage, path, expected string) error {
	is := "a number"
	switch data[0] {
	case '{':
		is = "an object"
	case '[':
		is = "a list"
	case '"':
		is = "a string"
	case 't', 'f':
		is = "a boolean"
	}
	if path == "" {
		return fmt.Errorf("the configuration is %s; write %s", is, expected)
	}
	return fmt.Errorf("%s: this is %s; write %s", path, is, expected)
}

var _ json.Unmarshaler = (*App)(nil)
