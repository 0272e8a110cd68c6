using System.Net.Sockets;
using System.Text.Json;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Processes;

namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>QEMU's monitor (QMP) on a Unix socket.</summary>
internal sealed class QemuMonitor : IDisposable
{
    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly StreamWriter _writer;

    private QemuMonitor(Socket socket)
    {
        _socket = socket;
        var stream = new NetworkStream(socket);
        _reader = new StreamReader(stream);
        _writer = new StreamWriter(stream) { AutoFlush = true };
    }

    /// <summary>The monitor as QEMU's options.</summary>
    internal static IEnumerable<string> Options(string socket) => ["-qmp", $"unix:{socket},server=on,wait=off"];

    internal static async Task<QemuMonitor> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        var monitor = new QemuMonitor(socket);
        await monitor.ReadAsync();
        await monitor.ExecuteAsync("qmp_capabilities");
        return monitor;
    }

    /// <summary>As <see cref="ConnectAsync"/>, to a QEMU that may not listen yet.</summary>
    internal static async Task<QemuMonitor> ConnectWhenReadyAsync(string path)
    {
        await Until.TrueAsync(() => UnixSocket.IsListening(path), "QEMU opens its monitor");
        return await ConnectAsync(path);
    }

    /// <summary>Executes a command; fails if it does.</summary>
    /// <param name="command">Its name.</param>
    /// <param name="arguments">Its arguments as JSON.</param>
    /// <returns>What it returned.</returns>
    internal async Task<JsonElement> ExecuteAsync(string command, string arguments = "{}")
    {
        var answer = await AskAsync(command, arguments);
        return answer.TryGetProperty("error", out var error) ? throw new GuestException($"{command}: {error}") : answer.GetProperty("return");
    }

    /// <summary>Executes a command.</summary>
    /// <returns>Whether it succeeded.</returns>
    internal async Task<bool> TryExecuteAsync(string command, string arguments) => (await AskAsync(command, arguments)).TryGetProperty("return", out _);

    // Events come between command and answer.
    private async Task<JsonElement> AskAsync(string command, string arguments)
    {
        await _writer.WriteLineAsync($$"""{"execute":"{{command}}","arguments":{{arguments}}}""");
        while (true)
        {
            var answer = await ReadAsync();
            if (answer.TryGetProperty("return", out _) || answer.TryGetProperty("error", out _)) return answer;
        }
    }

    /// <summary>Migrates the guest to a QEMU that waits for it, and waits until it runs there.</summary>
    /// <param name="uri">Where the other QEMU waits.</param>
    /// <param name="destination">The other QEMU's monitor.</param>
    internal async Task MigrateAsync(string uri, QemuMonitor destination)
    {
        // A guest under load changes its memory faster than the default bandwidth copies it.
        await ExecuteAsync("migrate-set-parameters", """{"max-bandwidth":4000000000,"downtime-limit":5000}""");
        await ExecuteAsync("migrate", $$"""{"uri":"{{uri}}"}""");
        await Until.TrueAsync(
            async () =>
            {
                var answer = await ExecuteAsync("query-migrate");
                var status = answer.TryGetProperty("status", out var value) ? value.GetString() : null;
                return status is "failed" or "cancelled" ? throw new GuestException($"the migration failed: {answer}") : status == "completed";
            },
            "the migration completes");
        await Until.TrueAsync(async () => (await destination.ExecuteAsync("query-status")).GetProperty("status").GetString() == "running", "the guest runs at its destination");
    }

    public void Dispose()
    {
        _reader.Dispose();
        _writer.Dispose();
        _socket.Dispose();
    }

    private async Task<JsonElement> ReadAsync()
    {
        var line = await _reader.ReadLineAsync().WaitAsync(Until.Patience);
        return line is null ? throw new GuestException("QEMU closed its monitor") : JsonDocument.Parse(line).RootElement;
    }
}
