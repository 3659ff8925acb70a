package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/antchat/antchat/adapter"
)

func (a *Adapter) field(ctx context.Context, op, table, field string, value []byte, keep time.Duration) (string, error) {
	if err := a.usable(ctx); err != nil {
		return "", err
	}
	if len(table) > adapter.MaxFieldName || len(field) > adapter.MaxFieldName || len(value) > adapter.MaxFieldValue {
		return "", fmt.Errorf("set field: a name or value is too long: %w", adapter.ErrFull)
	}
	// Each of these may happen twice.
	v, err := a.laneOf("", table).eval(ctx, true, lua().field, table, op, field, value, max(1, keep.Milliseconds()), adapter.MaxFields)
	if err != nil {
		return "", a.outcome("set field", err)
	}
	r, err := asReply(v)
	if err != nil {
		return "", a.outcome("set field", err)
	}
	if r.text(0) == "full" {
		return "", fmt.Errorf("set field: table has %d fields: %w", adapter.MaxFields, adapter.ErrFull)
	}
	return r.text(1), nil
}

// SetField implements adapter.Tables.
func (a *Adapter) SetField(ctx context.Context, table, field string, value []byte, keep time.Duration) error {
	op := "set"
	if value == nil {
		op, value = "del", []byte{}
	}
	_, err := a.field(ctx, op, table, field, value, keep)
	return err
}

// RaiseField implements adapter.Tables.
func (a *Adapter) RaiseField(ctx context.Context, table, field string, n uint64, keep time.Duration) (uint64, error) {
	held, err := a.field(ctx, "raise", table, field, strconv.AppendUint(nil, n, 10), keep)
	if err != nil {
		return 0, err
	}
	got, err := strconv.ParseUint(held, 10, 64)
	if err != nil {
		return 0, a.outcome("raise field", err)
	}
	return got, nil
}

// Fields implements adapter.Tables.
func (a *Adapter) Fields(ctx context.Context, table string) (map[string][]byte, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	l := a.laneOf("", table)
	v, err := l.ask(ctx, "HGETALL", l.base+"t:"+table)
	if err != nil {
		return nil, a.outcome("read table", err)
	}
	fields := map[string][]byte{}
	switch all := v.(type) {
	case map[any]any: // RESP 3
		for field, value := range all {
			fields[reply{field}.text(0)] = []byte(reply{value}.text(0))
		}
	case []any:
		for i := 0; i+1 < len(all); i += 2 {
			fields[reply(all).text(i)] = []byte(reply(all).text(i + 1))
		}
	default:
		return nil, a.outcome("read table", fmt.Errorf("answered %T", v))
	}
	return fields, nil
}
