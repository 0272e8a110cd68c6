using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace VmShunt.Perf.Launch;

/// <summary>The console of a running guest: a command is one line, its answer is one line of JSON. One command at a time.</summary>
internal sealed class GuestConsole(ChildProcess guest)
{
    /// <summary>How long a command may take in addition to its work.</summary>
    internal static TimeSpan Patience { get; } = TimeSpan.FromSeconds(60);

    internal ChildProcess Process => guest;

    /// <summary>Sends a command and waits for its answer.</summary>
    /// <param name="command">One line.</param>
    /// <param name="shape">The type of the answer.</param>
    /// <param name="work">How long the work itself should take.</param>
    /// <param name="cancel">Cancels the wait.</param>
    /// <exception cref="LaunchException">The guest reported an error, exited, timed out, or its answer is invalid.</exception>
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
            throw new LaunchException($"{guest.Name} exited with code {guest.ExitCode} instead of answering '{command}': {string.Join("; ", guest.LastErrors)}");
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
            throw new LaunchException($"{name} answered '{command}' with '{answer}', which is not a valid answer: {e.Message}", e);
        }
    }
}
