package release
import ("context"; "cattle/droplets")
func (o *Operator) Writes(ctx context.Context, w *World) (droplets.Writes, error) { return droplets.Writes{}, nil }
