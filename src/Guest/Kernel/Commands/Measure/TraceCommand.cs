using System.CommandLine;
using System.Text.Json.Nodes;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Guest.Observing;
using VmShunt.Guest.Requests;

namespace VmShunt.Guest.Commands.Measure;

/// <summary><c>trace</c>: sends one request and draws its path through the two stacks, with the time of each hop.</summary>
internal static class TraceCommand
{
    internal static Command Build(ICommandRunner runner)
    {
        var stack = StackOption.Create();
        var operation = new Option<BlockOperation>("--operation") { Description = "the request: read, write (of the content that the range has already) or flush" };
        operation.AcceptOnlyFromAmong("read", "write", "flush");
        var sector = new Option<ulong>("--sector") { Description = "the first sector of 512 bytes" };
        var count = new Option<int>("--count") { DefaultValueFactory = _ => 8, Description = "the number of sectors" };
        var warm = new Option<int>("--warm") { DefaultValueFactory = _ => 300, Description = "the number of warm-up requests of the same kind" };
        count.Validators.Add(r =>
        {
            if (r.GetValue(count) is < 1 or > 2048) r.AddError("--count takes 1 to 2048");
        });
        warm.Validators.Add(r =>
        {
            if (r.GetValue(warm) is < 0 or > 1_000_000) r.AddError("--warm takes 0 to 1,000,000");
        });
        var command = new Command("trace", "send one request and draw its path through the two stacks, with the time of each hop") { stack, operation, sector, count, warm };
        command.SetAction(r => runner.Run("trace", session =>
        {
            var kernel = session.Kernel;
            var disk = session.Disk(r.GetValue(stack));
            var buffer = kernel.Pages.Allocate(r.GetValue(count) * DiskClassDriver.SectorBytes);
            try
            {
                return Trace(kernel, disk, r.GetValue(operation), r.GetValue(sector), buffer, r.GetValue(warm));
            }
            finally
            {
                kernel.Pages.Free(buffer);
            }
        }));
        return command;
    }

    private static JsonObject Trace(Kernel kernel, DiskClassDriver disk, BlockOperation operation, ulong sector, GuestBuffer buffer, int warm)
    {
        // A write does not change the disk: it writes what was just read.
        if (operation == BlockOperation.Write) disk.ReadAsync(sector, buffer).AsTask().GetAwaiter().GetResult();
        var trace = new RequestTrace();
        var watch = new RegisterWatch();
        string? error = null;
        try
        {
            for (var i = 0; i < warm; i++) Send(new RequestTrace(), new RegisterWatch());
            Send(trace, watch);
        }
        catch (BlockIoException e)
        {
            error = e.Message;
        }
        finally
        {
            kernel.Watch(null);
        }
        var text = new TraceText(trace, watch.Accesses, kernel.Abar, kernel.Shunt?.Options.Position ?? ShuntPosition.BelowClass, kernel.Mode);
        var summary = $"{operation} of {(operation == BlockOperation.Flush ? 0 : buffer.Length):N0} bytes at sector {sector:N0}, {trace.Status} after {trace.Duration.TotalMicroseconds:N1} µs\n"
            + $"{CommandSession.NameOf(kernel.Mode)} mode; stack entered: {trace.Stack}; shunt: {Describe(trace)}; path: {trace.RequestPath}\n";
        return new JsonObject
        {
            ["operation"] = operation.ToString().ToLowerInvariant(),
            ["sector"] = sector,
            ["mode"] = CommandSession.NameOf(kernel.Mode),
            ["stack"] = trace.Stack,
            ["decision"] = trace.Decision.ToString(),
            ["shunt"] = trace.Shunt,
            ["road"] = trace.RequestPath.ToString().ToLowerInvariant(),
            ["status"] = trace.Status.ToString(),
            ["error"] = error,
            ["microseconds"] = trace.Duration.TotalMicroseconds,
            ["registerAccesses"] = watch.Accesses.Count,
            ["hops"] = Hops(trace),
            ["text"] = summary + "\n" + text.Draw() + "\n" + text.Table(),
        };

        void Send(RequestTrace target, RegisterWatch watcher)
        {
            kernel.Watch(watcher);
            target.TraceNextRequest();
            var task = operation switch
            {
                BlockOperation.Flush => disk.FlushAsync(),
                BlockOperation.Write => disk.WriteAsync(sector, buffer),
                _ => disk.ReadAsync(sector, buffer),
            };
            task.AsTask().GetAwaiter().GetResult();
        }
    }

    private static JsonArray Hops(RequestTrace trace)
    {
        var hops = new JsonArray();
        var start = trace.Hops[0].Timestamp;
        foreach (var (hop, timestamp) in trace.Hops)
        {
            hops.Add(new JsonObject
            {
                ["hop"] = hop.ToString(),
                ["microseconds"] = System.Diagnostics.Stopwatch.GetElapsedTime(start, timestamp).TotalMicroseconds,
            });
        }
        return hops;
    }

    private static string Describe(RequestTrace trace) => trace.Decision switch
    {
        ShuntDecision.None => "not reached",
        ShuntDecision.Diverted => $"diverted it ({trace.Shunt})",
        ShuntDecision.EmulatingMode => $"passed it down because the mode is emulating ({trace.Shunt})",
        ShuntDecision.Secondary => $"passed it down because it is secondary ({trace.Shunt})",
        ShuntDecision.NotAccepted => $"passed it down because the enlightened side did not accept it ({trace.Shunt})",
        _ => "the reverse shunt diverted it",
    };
}
