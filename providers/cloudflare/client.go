package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// client sends the requests of the library. What the library cannot be told
// comes with the context of the call, as details.
type client struct{ http http.Client }

// details change the requests for records that one call of the library makes.
type details struct {
	// name and typ, if given, narrow a list of records down. The name is full.
	name, typ string
	// found are the records of the lists that were answered.
	found []found
	// target is the record that a look-up finds, whatever else there is.
	target json.RawMessage
	// proxied has records be created as proxied ones.
	proxied bool
}

// found is a record as the API shows it.
type found struct {
	raw     json.RawMessage
	proxied bool
}

type detailsKey struct{}

func with(ctx context.Context, d *details) context.Context {
	return context.WithValue(ctx, detailsKey{}, d)
}

// Do implements the library's HTTPClient.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	d, ok := req.Context().Value(detailsKey{}).(*details)
	if !ok || !strings.Contains(req.URL.Path, "/dns_records") {
		return c.http.Do(req)
	}
	switch {
	case req.Method == http.MethodGet && d.target != nil:
		return d.answer(req)
	case req.Method == http.MethodGet:
		d.narrow(req)
		res, err := c.http.Do(req)
		if err != nil {
			return nil, err
		}
		return res, d.note(res)
	case req.Method == http.MethodPost && d.proxied:
		changed, err := proxied(req)
		if err != nil {
			return nil, err
		}
		req = changed
	}
	return c.http.Do(req)
}

func (d *details) narrow(req *http.Request) {
	if d.name == "" {
		return
	}
	q := req.URL.Query()
	q.Set("name", d.name)
	q.Set("type", d.typ)
	req.URL.RawQuery = q.Encode()
}

// note keeps the records of an answer. What is no list is the library's to
// complain of.
func (d *details) note(res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	var list struct {
		Result []json.RawMessage `json:"result"`
	}
	if json.Unmarshal(body, &list) != nil {
		return nil
	}
	for _, raw := range list.Result {
		var flags struct {
			Proxied bool `json:"proxied"`
		}
		_ = json.Unmarshal(raw, &flags)
		d.found = append(d.found, found{raw, flags.Proxied})
	}
	return nil
}

// answer answers a look-up with the target.
func (d *details) answer(req *http.Request) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"success": true, "result": []json.RawMessage{d.target}})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		Request: req,
	}, nil
}

// proxied returns the request to create a record as one that creates it
// proxied. The TTL of such a record is always automatic.
func proxied(req *http.Request) (*http.Request, error) {
	var fields map[string]any
	err := json.NewDecoder(req.Body).Decode(&fields)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	fields["proxied"], fields["ttl"] = true, 1
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	changed, err := http.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	changed.Header = req.Header
	return changed, nil
}
