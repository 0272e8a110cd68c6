using VmShunt.Perf.Lifecycle.Rigs;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A rig of each front-end for all tests of a class. After an event that damaged it the next test gets a new one.</summary>
public sealed class LifecycleRigs : IAsyncLifetime
{
    private readonly Dictionary<string, Rig> _rigs = [];

    public Task InitializeAsync() => Task.CompletedTask;

    /// <summary>Lets an event happen to the four disks of a front-end.</summary>
    internal async Task<IReadOnlyList<CellOutcome>> RunAsync(string frontend, LifecycleEvent what, Func<Task<Rig>> startAsync)
    {
        if (_rigs.TryGetValue(frontend, out var rig) && (rig.IsDamaged || rig.Engine != what.Engine))
        {
            _rigs.Remove(frontend);
            await rig.DisposeAsync();
            rig = null;
        }
        if (rig is null) _rigs.Add(frontend, rig = await startAsync());
        return await rig.RunAsync(what);
    }

    public async Task DisposeAsync()
    {
        foreach (var rig in _rigs.Values) await rig.DisposeAsync();
    }
}
