// Package thirdparty holds tests that run against the code of other libdns
// providers, as published, talking to stand-ins of their APIs. It is a module
// of its own so that the product does not depend on them.
package thirdparty
