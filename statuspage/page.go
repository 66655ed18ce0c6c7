package statuspage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/statuspage/internal/view"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// policy lets the page have its own style and script, by their hashes, and ask
// for itself; nothing else, and nobody may frame it.
var policy = "default-src 'none'; style-src " + hash(pageCSS) + "; script-src " + hash(pageJS) +
	"; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// records is a table of records.
type records struct {
	Label   string
	Records []view.Record
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"table": func(label string, all []view.Record) records { return records{label, all} },
}).Parse(pageHTML))

// render returns the page as HTML, at the host that it was asked for.
func render(p *view.Page, host string) ([]byte, error) {
	var out bytes.Buffer
	err := page.Execute(&out, struct {
		Page   *view.Page
		Host   string
		Style  template.CSS
		Script template.JS
	}{p, host, template.CSS(pageCSS), template.JS(pageJS)})
	return out.Bytes(), err
}
