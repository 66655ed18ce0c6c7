package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// zonesPerPage is the most that the API puts on a page of zones.
const zonesPerPage = 50

// client sends the requests of the library. What the library cannot be told
// comes with the context of the call, as details.
type client struct {
	http    http.Client
	limit   *limit
	created attributes
}

// attributes are what a record has beside its data.
type attributes struct {
	proxied bool
	comment string
	tags    []string
}

// details change the requests that one call of the library makes.
type details struct {
	// name and typ, if given, narrow a list of records down. The name is full.
	name, typ string
	// found are the records of the lists that were answered.
	found []found
	// target is the record that a look-up finds, whatever else there is.
	target json.RawMessage
	// proxied has addresses be created as proxied ones.
	proxied bool

	// page is that of the list of zones to ask for, pages how many there are.
	page, pages int
	// token, if given, takes the place of the token of the request.
	token string
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
	if !ok {
		d = new(details)
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	records := strings.Contains(req.URL.Path, "/dns_records")
	switch {
	case req.Method == http.MethodGet && records && d.target != nil:
		return d.answer(req)
	case req.Method == http.MethodGet && records:
		d.narrow(req)
		return c.list(req, d.note)
	case req.Method == http.MethodGet && d.page > 0:
		q := req.URL.Query()
		q.Set("page", strconv.Itoa(d.page))
		q.Set("per_page", strconv.Itoa(zonesPerPage))
		req.URL.RawQuery = q.Encode()
		return c.list(req, d.count)
	case req.Method == http.MethodPost && records:
		with := c.created
		with.proxied = with.proxied || d.proxied
		changed, err := with.added(req)
		if err != nil {
			return nil, err
		}
		req = changed
	}
	return c.limit.send(&c.http, req)
}

// list asks for a list and looks at the answer before the library does.
func (c *client) list(req *http.Request, look func(body []byte)) (*http.Response, error) {
	res, err := c.limit.send(&c.http, req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	look(body)
	return res, nil
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
func (d *details) note(body []byte) {
	var list struct {
		Result []json.RawMessage `json:"result"`
	}
	if json.Unmarshal(body, &list) != nil {
		return
	}
	for _, raw := range list.Result {
		var flags struct {
			Proxied bool `json:"proxied"`
		}
		_ = json.Unmarshal(raw, &flags)
		d.found = append(d.found, found{raw, flags.Proxied})
	}
}

// count keeps how many pages there are.
func (d *details) count(body []byte) {
	var list struct {
		Info struct {
			Pages int `json:"total_pages"`
		} `json:"result_info"`
	}
	if json.Unmarshal(body, &list) == nil {
		d.pages = list.Info.Pages
	}
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

// added returns the request to create an address record as one that creates it
// with the attributes. The TTL of a proxied record is always automatic.
func (a attributes) added(req *http.Request) (*http.Request, error) {
	var fields map[string]any
	err := json.NewDecoder(req.Body).Decode(&fields)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	if fields["type"] == "A" || fields["type"] == "AAAA" {
		if a.proxied {
			fields["proxied"], fields["ttl"] = true, 1
		}
		if a.comment != "" {
			fields["comment"] = a.comment
		}
		if len(a.tags) > 0 {
			fields["tags"] = a.tags
		}
	}
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
