module bench;
  logic       clk = 0;
  logic       rst_n, busy;
  logic [3:0] request, grant;

  bus_arbiter dut (.clk(clk), .rst_n(rst_n), .request(request), .grant(grant), .busy(busy));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int owner;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("grant", grant, owner < 0 ? 0 : 1 << owner);
    check("busy", busy, owner >= 0);
  endtask

  task automatic cycle(input logic [3:0] wanted);
    request = wanted;
    #1 outputs();
    if (owner < 0 || ((wanted >> owner) & 4'd1) == 4'd0) begin
      owner = -1;
      for (int i = 3; i >= 0; i--) if (((wanted >> i) & 4'd1) == 4'd1) owner = i;
    end
    @(negedge clk);
    outputs();
  endtask

  task automatic reset;
    #1 rst_n = 0;
    owner = -1;
    #1 outputs();
    @(negedge clk);
    outputs();
    rst_n = 1;
  endtask

  initial begin
    request = 4'b1111;
    rst_n = 1;
    owner = -1;
    @(negedge clk);
    reset();
    for (int a = 0; a < 16; a++) begin
      for (int b = 0; b < 16; b++) begin
        cycle(4'b0000);
        cycle(4'(a));
        cycle(4'(b));
        cycle(4'(a ^ b));
      end
    end
    cycle(4'b1000);
    reset();
    repeat (3000) begin
      cycle(request ^ 4'(random() & random()));
      if (random() % 64 == 0) reset();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
