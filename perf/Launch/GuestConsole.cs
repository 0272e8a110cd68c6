using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace VmShunt.Perf.Launch;

/// <summary>The console of a running guest: one command a line, one line of JSON back. One command at a time.</summary>
internal sealed class GuestConsole(ChildProcess guest)
{
    /// <summary>What a command may take beyond the work it was asked for.</summary>
    internal static TimeSpan Patience { get; } = TimeSpan.FromSeconds(60);

    internal ChildProcess Process => guest;

    /// <summary>Sends a command and waits for its answer.</summary>
    /// <param name="command">One line.</param>
    /// <param name="shape">How the answer is read.</param>
    /// <param name="work">How long the work itself should take.</param>
    /// <param name="cancel">Gives up waiting.</param>
    /// <exception cref="LaunchException">The guest said no, nothing, or something that is no answer.</exception>
    internal async Task<T> AskAsync<T>(string command, JsonTypeInfo<T> shape, TimeSpan work, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(work + Patience);
        string answer;
        try
        {
            await guest.SendAsync(command);
            answer = await guest.Output.ReadAsync(limit.Token);
        }
        catch (System.Threading.Channels.ChannelClosedException)
        {
            await guest.Ended;
            throw new LaunchException($"{guest.Name} ended (exit code {guest.ExitCode}) instead of answering '{command}'");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new LaunchException($"{guest.Name} did not answer '{command}' within {(work + Patience).TotalSeconds:F0} s");
        }
        return Parse(guest.Name, command, answer, shape);
    }

    internal static T Parse<T>(string name, string command, string answer, JsonTypeInfo<T> shape)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(answer);
            if (!document.RootElement.GetProperty("ok").GetBoolean())
                throw new LaunchException($"{name} could not do '{command}': {document.RootElement.GetProperty("error").GetString()}");
            return document.RootElement.Deserialize(shape) ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new LaunchException($"{name} answered '{command}' with '{answer}', which is no answer to it: {e.Message}", e);
        }
    }
}
