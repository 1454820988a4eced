// Reads dashboards as strictly as Grafana's own description of them allows: a field that it does not know is an error, and so is a value
// that no panel of that type, or no query of that source, may have.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

type strict interface {
	UnmarshalJSONStrict(raw []byte) error
	Validate() error
}

func read(raw []byte, into strict) error {
	// No errors are a list without any, which is not nil.
	var none cog.BuildErrors
	if err := into.UnmarshalJSONStrict(raw); err != nil && (!errors.As(err, &none) || len(none) > 0) {
		return err
	}
	return into.Validate()
}

func check(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	// For that reason a dashboard that is read keeps no panels: each is read by itself.
	var parts struct {
		Panels []json.RawMessage `json:"panels"`
	}
	if err := errors.Join(read(raw, &dashboard.Dashboard{}), json.Unmarshal(raw, &parts)); err != nil {
		return err
	}
	for at, part := range parts.Panels {
		var panel dashboard.Panel
		if err := read(part, &panel); err != nil {
			return fmt.Errorf("panels[%d]: %w", at, err)
		}
		if _, known := cog.ConfigForPanelcfgVariant(panel.Type); !known {
			return fmt.Errorf("panels[%d]: there is no type %q", at, panel.Type)
		}
	}
	return nil
}

func main() {
	plugins.RegisterDefaultPlugins()
	failed := false
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
		}
	}
	if failed {
		os.Exit(1)
	}
}
