package browser

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

var readme = flag.Bool("readme", false, "take the picture of the README anew")

// screenshots is where they are kept: the directory that the environment names,
// or one below the temporary one.
func screenshots(t *testing.T) string {
	dir := os.Getenv("STATUSPAGE_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "dynamic-dns-statuspage")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Logf("the screenshots are in %s", dir)
	return dir
}

func (b *tab) screenshot(file string) []byte {
	b.t.Helper()
	image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, image, 0o644); err != nil {
		b.t.Fatal(err)
	}
	return image
}

// smallest is the size of the smallest text that can be seen, and that text.
const smallest = `(() => {
	let least = ["none", 1000];
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node; node = texts.nextNode();) {
		const parent = node.parentElement;
		if (!node.data.trim() || ["SCRIPT", "STYLE", "TITLE", "title"].includes(parent.nodeName) || !parent.getClientRects().length) continue;
		const size = parseFloat(getComputedStyle(parent).fontSize);
		if (size < least[1]) least = [node.data.trim(), size];
	}
	return least[1] + " px: " + least[0];
})()`

// wide is what is wider than the screen, if anything.
const wide = `(() => {
	const width = document.documentElement.clientWidth, all = [];
	if (document.documentElement.scrollWidth > innerWidth) all.push("the page: " + document.documentElement.scrollWidth);
	for (const e of document.body.querySelectorAll("main *, header *, footer *")) {
		const box = e.getBoundingClientRect(), clip = e.closest(".unseen, thead");
		if (!clip && box.width > 0 && (box.right > width + 1 || box.left < -1) && !e.closest("svg")) all.push(e.outerHTML.slice(0, 100) + " " + box.left + " to " + box.right);
		if (e.localName === "text" && (box.right > width + 1 || box.left < -1)) all.push(e.outerHTML + " " + box.left + " to " + box.right);
	}
	return all.slice(0, 5).join("\n");
})()`

// TestLooks looks at every scene on a phone and a desktop, in both themes, with
// and without JavaScript.
func TestLooks(t *testing.T) {
	browser := needChromium(t)
	s := newSite(t)
	dir := screenshots(t)
	for name, make := range scenes {
		for _, l := range []look{{320, false, true}, {320, true, true}, {1280, false, true}, {1280, true, true}, {320, false, false}, {1280, true, false}} {
			t.Run(name+"/"+l.String(), func(t *testing.T) {
				show(make())
				b := open(t, browser, l, s.addr)
				b.visit(s.url())
				if title := eval[string](b, "document.title + ' ' + document.documentElement.lang"); !strings.HasSuffix(title, "– Dynamic DNS en") {
					t.Errorf("title and language: %s", title)
				}
				if got := eval[string](b, wide); got != "" {
					t.Errorf("wider than %d px:\n%s", l.width, got)
				}
				var px float64
				if got := eval[string](b, smallest); func() bool { _, err := fmt.Sscanf(got, "%f px", &px); return err != nil || px < 12 }() {
					t.Errorf("the smallest text: %s", got)
				}
				if hidden := eval[bool](b, `document.getElementById("live").hidden`); hidden == l.script {
					t.Errorf("JavaScript %t, and what it is for hidden %t", l.script, hidden)
				}
				b.screenshot(filepath.Join(dir, name+"-"+l.String()+".png"))
				// With hundreds of records open, axe-core takes long and learns nothing.
				if name == "many" {
					b.expectAccessible()
				}
				eval[chromedp.Void](b, `document.querySelectorAll("details").forEach((d) => d.open = true)`)
				if got := eval[string](b, wide); got != "" {
					t.Errorf("with all folded open, wider than %d px:\n%s", l.width, got)
				}
				if name != "many" {
					b.expectAccessible()
				}
				b.expectQuiet()
			})
		}
	}
}

// TestPicture takes the README's picture, in few colors, if it is asked to, and
// sees that it is small.
func TestPicture(t *testing.T) {
	const file, most = "../../docs/status.png", 150_000
	if *readme {
		browser := needChromium(t)
		s := newSite(t)
		show(portrait())
		b := open(t, browser, look{1000, false, true}, s.addr)
		b.visit(s.url())
		b.frame(1000, 1100)
		eval[chromedp.Void](b, `document.querySelector(".host").textContent = "status.example.com"`)
		shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fewColors(t, shot), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	picture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if config, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil || config.Width != 1000 || len(picture) > most {
		t.Errorf("%s: %d bytes, %d px wide: %v", file, len(picture), config.Width, err)
	}
}

// fewColors makes an image small: of its colors, those that are used most, and
// for each other one the nearest of these.
func fewColors(t *testing.T, shot []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	bounds := full.Bounds()
	uses := make(map[color.Color]int)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			uses[full.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(uses), func(a, b color.Color) int {
		return cmp.Or(cmp.Compare(uses[b], uses[a]), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	few := image.NewPaletted(bounds, colors[:min(len(colors), 64)])
	draw.Draw(few, bounds, full, bounds.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUpdatesItself: what changes is shown without a reload, and what the
// reader has folded open, or where the focus is, stays; over a reload of Caddy,
// too, which does not wait for the page.
func TestUpdatesItself(t *testing.T) {
	browser := needChromium(t)
	s := newSite(t)
	show(many())
	b := open(t, browser, look{1280, false, true}, s.addr)
	b.visit(s.url() + "?from=a-bookmark")
	eval[chromedp.Void](b, `window.same = true; document.querySelector("#zones details").open = true; document.querySelector("#zones summary").focus()`)
	show(failing())
	b.await("what is wrong", `document.getElementById("headline").textContent.includes("wrong") && document.title.includes("wrong")`)
	if said := eval[string](b, `document.getElementById("said").textContent`); !strings.Contains(said, "wrong") {
		t.Errorf("screen readers are told %q", said)
	}
	more := many()
	more.status.Zones[0].Records[3].State = status.StateFailing
	show(more)
	b.await("that it is over", `document.getElementById("headline").textContent === "Working on it"`)
	eval[chromedp.Void](b, `document.querySelector("#zones details").open = true; document.querySelector("#zones summary").focus()`)
	s.load("another")
	more = many()
	more.status.Zones[0].Records[4].Observed = addrs("203.0.113.250")
	show(more)
	b.await("another address", `document.body.textContent.includes("203.0.113.250")`)
	if !eval[bool](b, `window.same && document.querySelector("#zones details").open && document.activeElement.localName === "summary"`) {
		t.Error("the page was loaded anew, or has folded what was open, or has lost the focus")
	}
	// Paused, it stays as it is, and says so.
	b.do(chromedp.Click("#pause"))
	show(well())
	time.Sleep(7 * time.Second)
	if got := eval[string](b, `document.getElementById("headline").textContent + document.getElementById("pause").getAttribute("aria-pressed")`); got != "Working on ittrue" {
		t.Errorf("paused, the page says %s", got)
	}
	b.do(chromedp.Click("#pause"))
	b.await("all is well", `document.getElementById("headline").textContent === "All is well"`)
	b.expectQuiet()
}

// TestCheckNow: the button works with and without JavaScript, by the keyboard
// too, and a page of another site has no use for it.
func TestCheckNow(t *testing.T) {
	browser := needChromium(t)
	s := newSite(t)
	shown.checked = func(now *scene) { *now = well() }
	defer func() { shown.checked = nil }()
	for i, script := range []bool{true, false} {
		if i > 0 {
			// So that it is long enough ago that something was checked.
			s.load(fmt.Sprint(i))
		}
		show(busy())
		before := checks()
		b := open(t, browser, look{1280, false, script}, s.addr)
		b.do(chromedp.Navigate(s.url()), chromedp.Focus("#check button"), chromedp.KeyEvent(kb.Enter))
		b.await("all is well", `document.getElementById("headline")?.textContent === "All is well"`)
		if n := checks() - before; n != 1 {
			t.Errorf("JavaScript %t: %d checks", script, n)
		}
		if at := eval[string](b, "location.pathname"); at != "/status" {
			t.Errorf("JavaScript %t: led to %s", script, at)
		}
		b.expectQuiet()
	}
	before := checks()
	b := open(t, browser, look{1280, false, true}, s.addr, strings.Replace(s.addr, "127.0.0.1", "localhost", 1))
	b.do(chromedp.Navigate("http://" + strings.Replace(s.addr, "127.0.0.1", "localhost", 1) + "/evil"))
	if eval[string](b, "location.host") == s.addr {
		t.Fatal("it is no other site")
	}
	b.do(chromedp.Submit("#f"))
	b.await("the refusal", `document.body.textContent.includes("comes from another site")`)
	if n := checks() - before; n != 0 {
		t.Errorf("%d checks by another site", n)
	}
}

// TestKeyboard: all that can be used is reached by the keyboard, in order, and
// is seen to have the focus.
func TestKeyboard(t *testing.T) {
	browser := needChromium(t)
	s := newSite(t)
	show(many())
	b := open(t, browser, look{320, true, true}, s.addr)
	b.visit(s.url())
	b.do(chromedp.Click("#pause"))
	eval[chromedp.Void](b, "document.activeElement.blur()")
	var reached []string
	for range 3 {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached = append(reached, eval[string](b, `(() => {
			const e = document.activeElement, style = getComputedStyle(e);
			return e.textContent + (style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2 ? "" : " (not seen)");
		})()`))
	}
	if got := strings.Join(reached, ", "); got != "Check now, 501 more records in sync, 42 earlier" {
		t.Errorf("reached: %.300s", got)
	}
	b.do(chromedp.Focus("#zones summary"), chromedp.KeyEvent(kb.Enter))
	if !eval[bool](b, `document.querySelector("#zones details").open`) {
		t.Error("Enter folds nothing open")
	}
	b.expectQuiet()
}

// TestOpenPageDelaysNothing: neither a reload nor the end of Caddy waits for
// the pages that are open.
func TestOpenPageDelaysNothing(t *testing.T) {
	browser := needChromium(t)
	s := newSite(t)
	show(well())
	b := open(t, browser, look{1280, false, true}, s.addr)
	b.visit(s.url())
	resp, err := http.Get(s.url())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 3 {
		s.load(fmt.Sprint(i))
	}
	b.await("the page", `document.getElementById("headline").textContent === "All is well"`)
	b.expectQuiet()
}
