module bench;
  logic       clk = 0;
  logic       rst, accept;
  logic [3:0] request, grant;

  round_robin_arbiter dut (.clk(clk), .rst(rst), .request(request), .accept(accept), .grant(grant));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int pointer, winner;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic [3:0] wanted, input logic is_accepted);
    request = wanted;
    accept = is_accepted;
    winner = pointer;
    for (int i = 0; i < 4; i++) if (((wanted >> (winner % 4)) & 4'd1) == 4'd0) winner++;
    winner = winner % 4;
    #1 check("grant", grant, wanted == 0 ? 0 : 1 << winner);
    if (rst) pointer = 0;
    else if (is_accepted && wanted != 0) pointer = (winner + 1) % 4;
    @(negedge clk);
  endtask

  initial begin
    {request, accept} = '0;
    rst = 1;
    @(negedge clk);
    pointer = 0;
    cycle(4'b1100, 1);
    rst = 0;
    repeat (9) cycle(4'b1111, 1);
    cycle(4'b0000, 1);
    repeat (3) cycle(4'b1010, 0);
    repeat (5) cycle(4'b1010, 1);
    repeat (3) cycle(4'b0001, 1);
    for (int start = 0; start < 4; start++) begin
      for (int r = 0; r < 16; r++) begin
        cycle(4'(1 << start), 1);
        cycle(4'(r), 0);
        cycle(4'(r), 1);
      end
    end
    repeat (3000) begin
      rst = random() % 64 == 0;
      cycle(4'(random()), 1'(random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
